"""How a layer's activation is laid out: proven by the places of the image that its elements stem from, or refused."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from shapleycam.errors import LayerError, LayoutWarning, warn
from shapleycam.layers.coordinates.reading import Reading
from shapleycam.layers.locality import is_local
from shapleycam.layers.proof import proof_for
from shapleycam.models.layout import Layout, parse_layout, spatial_size
from shapleycam.models.layout_guess import guess_layout
from shapleycam.models.token_declaration import declared_tokens
from shapleycam.tracing.extra import NO_EXTRA, ExtraInputs

_SAY = "say where the positions are with layout='tokens 14x14 after 1', say"


def layout_at(
    model: nn.Module,
    layer: str,
    activation: Float[Tensor, "b *shape"],
    images: Float[Tensor, "b *image"],
    layout: str | Layout | None = None,
    channels: int = 1,
    extra: ExtraInputs = NO_EXTRA,
) -> Layout:
    """Return the layout of a layer's activation: `layout` if the user gave one, else the one that is proven.

    `channels` is the axis of the images that holds their channels; `extra` are the model's further inputs.

    Raises:
        LayerError: its places are no grid in reading order, or they are not known.
    """
    shape, sides = tuple(activation.shape), spatial_size(tuple(images.shape), channels)
    reading = reading_at(model, layer, images, channels, extra)
    if reading.layout is not None and not reading.layout.fits(shape):
        reading = Reading(None, f"it had the layout {reading.layout} when it was last looked at")
    if layout is not None:
        chosen = parse_layout(layout, shape, layer)
        if len(chosen.grid) > len(sides):
            size = " x ".join(map(str, sides))
            raise LayerError(f"layout {str(chosen)!r} has a depth, and images of {size} have none; leave it out")
        _warn_if_contradicted(chosen, reading, layer)
        return chosen
    guess = supposed(model, layer, shape, sides) if reading.unknown else None
    if guess is not None and is_local(model, images[:1], layer, guess, _of_first(extra)):
        return guess
    if reading.layout is None or reading.layout.count == 1:
        raise LayerError(f"layer {layer!r} returns shape {shape} for images of {_times(sides)}{_why(reading)}")
    return reading.layout


def reading_at(
    model: nn.Module, layer: str, images: Tensor, channels: int = 1, extra: ExtraInputs = NO_EXTRA
) -> Reading:
    """Return what is proven of a layer's places; where they are lost the reason names the operations that lost them."""
    proof = proof_for(model, images, channels, _of_first(extra))
    reading = proof.readings.get(layer, Reading(None, "it has no axis of places beside its channels"))
    if not reading.unknown:
        return reading
    names = ", ".join(map(repr, proof.lost[:3]))
    return Reading(None, f"where they are is not known behind the operation {names}", unknown=True)


def _of_first(extra: ExtraInputs) -> ExtraInputs:
    return extra.rows(torch.zeros(1, dtype=torch.long))


def supposed(model: nn.Module, layer: str, shape: tuple[int, ...], sides: tuple[int, ...]) -> Layout | None:
    """Return the layout that a shape lets one suppose, for a test of locality; None where there is none, or several."""
    try:
        layout = guess_layout(shape, sides, model.get_submodule(layer), declared_tokens(model, layer))
    except LayerError:
        return None
    return layout if layout is not None and layout.count > 1 else None


def _why(reading: Reading) -> str:
    """The rest of a refusal: what is known of the layer, and what to do."""
    if reading.layout is not None:
        return f", which is one cell; choose an earlier layer, or take it as it is with layout='{reading.layout}'"
    instead = "; choose another layer (shapleycam layers MODEL lists those that can be explained)"
    instead += f", or {_SAY}" if reading.unknown else ""
    return f", in which there is no grid of positions: {reading.reason}{instead}"


def _warn_if_contradicted(layout: Layout, reading: Reading, layer: str) -> None:
    """Say where a layout is given that is not the proven one."""
    if reading.unknown or reading.layout == layout or layout.count == 1:
        return
    proven = f"they are {str(reading.layout)!r}" if reading.layout is not None else reading.reason
    warn(
        LayoutWarning,
        f"layout {str(layout)!r} was given for layer {layer!r}, whose places contradict it: {proven}; it is taken as "
        "given, so leave it out unless you know better",
    )


def _times(sides: tuple[int, ...]) -> str:
    return " x ".join(map(str, sides))
