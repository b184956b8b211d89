"""Which layout a shape lets one suppose: as the model declares it, or the only grid in the image's proportions.

It proves nothing, and is only tried out where the places of an activation are not known.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from torch import nn

from shapleycam.errors import LayerError
from shapleycam.models.layout import Layout, LayoutKind

Size: TypeAlias = tuple[int, ...]
"""Height and width, or depth, height and width."""

_MOST_PREFIX_TOKENS = 8
"""Where neither their number nor the patches' size is declared; where the latter is, twice as many."""
_HALVINGS = 6
_CHANNELS_FIRST = (
    *(nn.Conv2d, nn.ConvTranspose2d, nn.BatchNorm2d, nn.MaxPool2d, nn.AvgPool2d, nn.GroupNorm),
    *(nn.Conv3d, nn.ConvTranspose3d, nn.BatchNorm3d, nn.MaxPool3d, nn.AvgPool3d),
)


@dataclass(frozen=True)
class TokenDeclaration:
    """What a model says of its tokens: how many come before those of the image, and how many pixels one covers."""

    prefix: int | None = None
    patch: Size | None = None


def declared_tokens(model: nn.Module, layer: str) -> TokenDeclaration:
    """What the modules around a layer declare, the nearest first.

    timm's `num_prefix_tokens` and `patch_embed.patch_size`, transformers' `config.patch_size` and `tubelet_size`, and
    torchvision's `patch_size` are read.
    """
    prefix: int | None = None
    patch: Size | None = None
    for module in _around(model, layer):
        count = getattr(module, "num_prefix_tokens", None)
        prefix = count if prefix is None and isinstance(count, int) else prefix
        patch = patch or _patch(module)
    return TokenDeclaration(prefix, patch)


def spatial_size(images: tuple[int, ...], channels: int = 1) -> Size:
    """Height and width of images (b, c, h, w); depth too of volumes (b, c, d, h, w) and videos (b, t, c, h, w), whose
    axis of channels is `channels`.
    """
    return tuple(side for axis, side in enumerate(images) if axis not in {0, channels})


def guess_layout(
    shape: tuple[int, ...], image: Size, module: nn.Module | None = None, said: TokenDeclaration | None = None
) -> Layout | None:
    """The layout of an activation of `shape` (b, ...) for images of a size; None if it has no grid.

    The module that made the activation says where its channels are, where it can; otherwise the grid is the
    dimensions that divide the image evenly.

    Raises:
        LayerError: several readings are possible.
    """
    if len(shape) == 3:
        return _tokens(shape[1], image, said or TokenDeclaration())
    if len(shape) not in {4, 5} or len(shape) - 2 > len(image):
        return None
    kinds: tuple[LayoutKind, LayoutKind] = ("NCHW", "NHWC") if len(shape) == 4 else ("NCDHW", "NDHWC")
    first, last = Layout(kinds[0], shape[2:]), Layout(kinds[1], shape[1:-1])
    channels = _channels(module, shape)
    possible = (_fits(first.grid, image), _fits(last.grid, image))
    if channels is None and all(possible):
        channels = _channels_inside(module)
    if channels == "first" or (channels is None and possible == (True, False)):
        return first
    if channels == "last" or (channels is None and possible == (False, True)):
        return last
    if all(possible):
        raise LayerError(
            f"the activation of shape {shape} could be channels-first ({_cells(first.grid)}) or channels-last "
            f"({_cells(last.grid)}); say which with layout='{first.kind}' or layout='{last.kind}', or choose a "
            "convolution or norm layer, whose layout is known"
        )
    return None


def _channels(module: nn.Module | None, shape: tuple[int, ...]) -> Literal["first", "last"] | None:
    """Where the channels are, as far as the module tells."""
    if isinstance(module, _CHANNELS_FIRST):
        return "first"
    if type(module) is nn.LayerNorm:
        return "last"
    normed = getattr(module, "normalized_shape", None)  # of timm's LayerNorm2d, say
    if isinstance(normed, (tuple, list)) and len(normed) == 1 and shape[1] != shape[-1]:
        return "first" if shape[1] == normed[0] else "last" if shape[-1] == normed[0] else None
    return None


def _channels_inside(module: nn.Module | None) -> Literal["first", "last"] | None:
    """Where the channels of the last module inside are that tells."""
    for inner in reversed(list(module.modules()) if module is not None else []):
        if isinstance(inner, _CHANNELS_FIRST):
            return "first"
        if isinstance(inner, nn.Linear) or type(inner) is nn.LayerNorm:
            return "last"
    return None


def _fits(grid: Size, image: Size) -> bool:
    """Whether a grid may be the image at some stride: not finer than it, and at the two sides' common stride
    s = (H + W) / (h + w) right to within a cell, |h - H / s| < 1.
    """
    (*_, h, w), (*_, height, width) = grid, image
    deep = all(d <= depth for d, depth in zip(grid[:-2], image[-len(grid) : -2], strict=True))
    return deep and h <= height and w <= width and abs(h * width - w * height) < height + width


def _tokens(count: int, image: Size, said: TokenDeclaration) -> Layout | None:
    """By the declared patch, or the image's exact proportions, or the only whole stride; unusual prefixes last."""
    usual = (0, 1) if said.prefix is None else (said.prefix, 0)
    more = range(2, _MOST_PREFIX_TOKENS + 1) if said.prefix is None else range(1, _MOST_PREFIX_TOKENS + 1)
    if said.patch is not None:
        allowed = range(2 * _MOST_PREFIX_TOKENS + 1) if said.prefix is None else usual
        strides = (tuple(side * 2**i for side in said.patch) for i in range(_HALVINGS))
        found = [_layout(grid, count, allowed) for stride in strides for grid in _rounded(image, stride)]
        fitting = [layout for layout in found if layout]
        if fitting:
            return min(fitting, key=lambda layout: allowed.index(layout.prefix))
    inexact = (usual,) if said.prefix is None else ((said.prefix,), (0,))
    readings = (_only(count, image, prefixes) for prefixes in inexact)
    return _proportional(count, image, usual) or next(filter(None, readings), None) or _proportional(count, image, more)


def _layout(grid: Size, count: int, prefixes: Iterable[int]) -> Layout | None:
    layout = Layout("tokens", grid)
    prefix = count - layout.count
    return Layout("tokens", grid, prefix) if layout.count and prefix in prefixes else None


def _only(count: int, image: Size, prefixes: Iterable[int]) -> Layout | None:
    """The one grid that some whole stride makes of an image whose sides it does not divide, or of a volume."""
    found: dict[Layout, bool] = {}
    for depth in range(1, image[0] + 1) if len(image) == 3 else (1,):
        for side in range(1, max(image[-2:]) + 1):
            stride = (depth, side, side)[-len(image) :]
            exact = all(whole % part == 0 for whole, part in zip(image, stride, strict=True) if whole > 1)
            for layout in (_layout(grid, count, prefixes) for grid in _rounded(image, stride)):
                if layout:
                    found[layout] = exact or found.get(layout, False)
    best = [layout for layout, exact in found.items() if exact] or list(found)
    if len(best) > 1:
        choices = " or ".join(repr(str(layout)) for layout in sorted(best, key=str))
        raise LayerError(
            f"{count} tokens of an image of {' x '.join(map(str, image))} could be {choices}; say which with layout="
        )
    return next(iter(best), None)


def _rounded(image: Size, stride: Size) -> Iterator[Size]:
    """The grids that patches of a size make: without the rest at the edge, or with it."""
    if len(stride) < len(image):
        stride = (1, *stride)
    pairs = list(zip(image, stride[-len(image) :], strict=True))
    yield tuple(whole // part for whole, part in pairs)
    yield tuple(-(-whole // part) for whole, part in pairs)


def _proportional(count: int, image: Size, prefixes: Iterable[int]) -> Layout | None:
    """The two factors of the number of cells in the proportions of the image, exactly."""
    if len(image) == 2:
        height, width = image
        for prefix in prefixes:
            cells = count - prefix
            h = round((cells * height / width) ** 0.5) if cells > 0 else 0
            if h and cells % h == 0 and h * width == (cells // h) * height:
                return Layout("tokens", (h, cells // h), prefix)
    return None


def _around(model: nn.Module, layer: str) -> Iterator[nn.Module]:
    """The layer and the modules that it is inside of, the innermost first, and the model."""
    parts = layer.split(".")
    for end in range(len(parts), -1, -1):
        yield model.get_submodule(".".join(parts[:end]))


def _patch(module: nn.Module) -> Size | None:
    config = getattr(module, "config", None)
    for holder in (getattr(module, "patch_embed", None), module, config, getattr(config, "vision_config", None)):
        sides, tubelet = _sides(getattr(holder, "patch_size", None)), getattr(holder, "tubelet_size", None)
        if isinstance(tubelet, int) and len(sides) == 2:
            sides = (tubelet, *sides)
        for found in (sides, _sides(tubelet)):
            if len(found) in {2, 3} and all(isinstance(side, int) and side > 0 for side in found):
                return found
    return None


def _sides(size: Any) -> Size:
    return (size, size) if isinstance(size, int) else tuple(size) if isinstance(size, (tuple, list)) else ()


def _cells(grid: Size) -> str:
    return f"{' x '.join(map(str, grid))} cells"
