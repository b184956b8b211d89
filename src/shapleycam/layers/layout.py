"""The layout of a layer's activation: given by the user, proven by coordinates, or supported by a test of locality."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor, nn

from shapleycam.errors import LayerError, LayoutWarning, warn
from shapleycam.layers.input_layout import input_layout
from shapleycam.layers.layout_derivation import LayoutResult
from shapleycam.layers.layout_proofs import ModelLayouts, prove_layouts
from shapleycam.layers.locality import is_local
from shapleycam.models.layout import Layout, parse_layout, spatial_size
from shapleycam.models.layout_guess import guess_layout
from shapleycam.models.token_declaration import declared_tokens
from shapleycam.tracing.extra import NO_EXTRA, ExtraInputs
from shapleycam.tracing.input_layer import is_input

MIXES_DISTANT_PLACES = "its elements mix places that lie far apart in the image, as of its two halves"
_LAYOUT_HINT = "say where the positions are with layout='tokens 14x14 after 1', say"


def layout_at(
    model: nn.Module,
    layer: str,
    activation: Float[Tensor, "b *shape"],
    images: Float[Tensor, "b *image"],
    layout: str | Layout | None = None,
    channels: int = 1,
    extra: ExtraInputs = NO_EXTRA,
) -> Layout:
    """Return the layout of a layer's activation: the user's `layout` if there is one, otherwise the proven layout.

    Args:
        model: the user's model.
        layer: the layer's dotted name.
        activation: what the layer returned for the images.
        images: the model's input.
        layout: the layout that the user gave; a warning is issued if the proven layout contradicts it.
        channels: the axis of the images' channels.
        extra: the model's further inputs.

    Raises:
        LayerError: the activation is not a grid over the image in reading order, or this cannot be determined.

    Examples:
        >>> import torch
        >>> from torch import nn
        >>> from shapleycam.layers import layout_at
        >>> model, images = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2)), torch.rand(1, 3, 9, 13)
        >>> str(layout_at(model, "0", model(images), images))
        'NCHW 4 x 6'
    """
    shape, sides = tuple(activation.shape), spatial_size(tuple(images.shape), channels)
    if is_input(model, layer):
        return input_layout(shape, channels, layout)
    result = layout_result_at(model, layer, images, channels, extra)
    if result.layout is not None and not result.layout.fits(shape):
        result = LayoutResult(None, f"it had the layout {result.layout} when it was last looked at")
    if layout is not None:
        user_layout = parse_layout(layout, shape, layer)
        if len(user_layout.grid) > len(sides):
            size = _join_sides(sides)
            raise LayerError(f"layout {str(user_layout)!r} has a depth, and images of {size} have none; leave it out")
        _warn_if_contradicted(user_layout, result, layer)
        return user_layout
    # After an operation without a rule for coordinates, the layout is guessed from the shape, and each cell is tested.
    # This is done for each image, because such an operation may move places by their content.
    guess = guess_layout_at(model, layer, shape, sides) if result.unknown else None
    if guess is not None and all(is_local(model, image, layer, guess, own) for image, own in _rows(images, extra)):
        return guess
    if result.layout is None or result.layout.count == 1:
        raise LayerError(f"layer {layer!r} returns shape {shape} for images of {_join_sides(sides)}{_refusal(result)}")
    return result.layout


def layout_result_at(
    model: nn.Module, layer: str, images: Tensor, channels: int = 1, extra: ExtraInputs = NO_EXTRA
) -> LayoutResult:
    """Return what is proven about a layer's layout for all images.

    The reason names the operations that lost coordinates, if any.
    """
    first = prove_layouts(model, images[:1], channels, _row(extra, 0))
    result = layout_result_in(first, layer)
    if first.is_of_all_images or len(images) == 1:
        return result
    for number, (image, own) in enumerate(_rows(images, extra)):
        other = layout_result_in(prove_layouts(model, image, channels, own), layer)
        if other.layout != result.layout or other.unknown != result.unknown:
            layouts = " and ".join(str(each.layout or each.reason) for each in (result, other))
            cause = "the model's operations depend on their content"
            reason = f"image {number} has another layout than image 0, because {cause} ({layouts})"
            return LayoutResult(None, reason, other.unknown or result.unknown)
    return result


def layout_result_in(layouts: ModelLayouts, layer: str) -> LayoutResult:
    """Return what is proven about a layer's layout, as `layout_result_at`, from the results for all layers."""
    result = layouts.results.get(layer, LayoutResult(None, "it has no axis of places beside its channels"))
    if not result.unknown:
        return result
    names = ", ".join(map(repr, layouts.lost[:3]))
    reason = f"where they are is not known behind the operation {names}" if names else MIXES_DISTANT_PLACES
    return LayoutResult(None, reason, unknown=True)


def guess_layout_at(model: nn.Module, layer: str, shape: tuple[int, ...], sides: tuple[int, ...]) -> Layout | None:
    """Return the layout that a shape suggests, still to be tested for locality; None if there is none, or several."""
    try:
        layout = guess_layout(shape, sides, model.get_submodule(layer), declared_tokens(model, layer))
    except LayerError:
        return None
    return layout if layout is not None and layout.count > 1 else None


def _row(extra: ExtraInputs, number: int) -> ExtraInputs:
    return extra.rows(torch.tensor([number], device="cpu"))


def _rows(images: Tensor, extra: ExtraInputs) -> Iterator[tuple[Tensor, ExtraInputs]]:
    """Yield each image as a batch of one, with its further inputs."""
    for number in range(len(images)):
        yield images[number : number + 1], _row(extra, number)


def _refusal(result: LayoutResult) -> str:
    """Return the end of an error message: what is known about the layer, and what to do."""
    if result.layout is not None:
        return f", which is one cell; choose an earlier layer, or take it as it is with layout='{result.layout}'"
    remedy = "; choose another layer (shapleycam layers MODEL lists those that can be explained)"
    remedy += f", or {_LAYOUT_HINT}" if result.unknown else ""
    return f", in which there is no grid of positions: {result.reason}{remedy}"


def _warn_if_contradicted(layout: Layout, result: LayoutResult, layer: str) -> None:
    """Warn if the user's layout contradicts what is proven."""
    if result.unknown or result.layout == layout or layout.count == 1:
        return
    proven = f"they are {str(result.layout)!r}" if result.layout is not None else result.reason
    warn(
        LayoutWarning,
        f"layout {str(layout)!r} was given for layer {layer!r}, whose places contradict it: {proven}; it is taken as "
        "given, so leave it out unless you know better",
    )


def _join_sides(sides: tuple[int, ...]) -> str:
    return " x ".join(map(str, sides))
