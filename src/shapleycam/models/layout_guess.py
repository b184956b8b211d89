"""Guessing a layout from a shape: as the model declares it, or the only grid in the image's proportions.

A guess proves nothing. It is used only where the positions of an activation cannot be followed from the image, and is
then tried out on them (docs/decisions.md, "Layouts are proven by coordinates, not inferred from shapes").
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal

from torch import nn

from shapleycam.errors import LayerError
from shapleycam.models.layout import Layout, LayoutKind, Size
from shapleycam.models.token_declaration import TokenDeclaration

_MOST_PREFIX_TOKENS = 8
"""How many are tried where neither their number nor the patches' size is declared; where the size is, twice as many."""
_HALVINGS = 6
"""How often a network may halve the grid of its patches on the way to the layer."""
_CHANNELS_FIRST = (
    *(nn.Conv2d, nn.ConvTranspose2d, nn.BatchNorm2d, nn.MaxPool2d, nn.AvgPool2d, nn.GroupNorm),
    *(nn.Conv3d, nn.ConvTranspose3d, nn.BatchNorm3d, nn.MaxPool3d, nn.AvgPool3d),
)


def guess_layout(
    shape: tuple[int, ...], image: Size, module: nn.Module | None = None, declaration: TokenDeclaration | None = None
) -> Layout | None:
    """Return the layout of an activation of `shape` (b, ...) for images of a size; None if it has no grid.

    The module that made the activation tells where its channels are, where it can; otherwise the grid is the
    dimensions that divide the image evenly.

    Raises:
        LayerError: several layouts are possible.
    """
    if len(shape) == 3:
        return _token_layout(shape[1], image, declaration or TokenDeclaration())
    if len(shape) not in {4, 5} or len(shape) - 2 > len(image):
        return None
    kinds: tuple[LayoutKind, LayoutKind] = ("NCHW", "NHWC") if len(shape) == 4 else ("NCDHW", "NDHWC")
    first, last = Layout(kinds[0], shape[2:]), Layout(kinds[1], shape[1:-1])
    channels = _channels_of(module, shape)
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


def _channels_of(module: nn.Module | None, shape: tuple[int, ...]) -> Literal["first", "last"] | None:
    """Return where the channels of a module's output are, None where its type does not tell."""
    if isinstance(module, _CHANNELS_FIRST):
        return "first"
    if type(module) is nn.LayerNorm:
        return "last"
    normed = getattr(module, "normalized_shape", None)  # of timm's LayerNorm2d, say
    if isinstance(normed, (tuple, list)) and len(normed) == 1 and shape[1] != shape[-1]:
        return "first" if shape[1] == normed[0] else "last" if shape[-1] == normed[0] else None
    return None


def _channels_inside(module: nn.Module | None) -> Literal["first", "last"] | None:
    """Return where the channels are by the last module inside whose type tells."""
    for inner in reversed(list(module.modules()) if module is not None else []):
        if isinstance(inner, _CHANNELS_FIRST):
            return "first"
        if isinstance(inner, nn.Linear) or type(inner) is nn.LayerNorm:
            return "last"
    return None


def _fits(grid: Size, image: Size) -> bool:
    """Return whether a grid may be the image at some stride.

    It is not finer than the image, and at the two sides' common stride s = (H + W) / (h + w) it is right to within a
    cell, |h - H / s| < 1.
    """
    (*_, h, w), (*_, height, width) = grid, image
    depth_fits = all(d <= depth for d, depth in zip(grid[:-2], image[-len(grid) : -2], strict=True))
    return depth_fits and h <= height and w <= width and abs(h * width - w * height) < height + width


def _token_layout(count: int, image: Size, declaration: TokenDeclaration) -> Layout | None:
    """Return the layout of `count` tokens.

    It is that of the declared patch, else the one in the image's exact proportions, else that of the only whole stride
    that gives so many tokens; unusual numbers of prefix tokens are tried last.
    """
    usual = (0, 1) if declaration.prefix is None else (declaration.prefix, 0)
    more = range(2, _MOST_PREFIX_TOKENS + 1) if declaration.prefix is None else range(1, _MOST_PREFIX_TOKENS + 1)
    if declaration.patch is not None:
        allowed = range(2 * _MOST_PREFIX_TOKENS + 1) if declaration.prefix is None else usual
        strides = (tuple(side * 2**i for side in declaration.patch) for i in range(_HALVINGS))
        layouts = (_with_prefix(grid, count, allowed) for stride in strides for grid in _grids_of(image, stride))
        fitting = [layout for layout in layouts if layout]
        if fitting:
            return min(fitting, key=lambda layout: allowed.index(layout.prefix))
    inexact = (usual,) if declaration.prefix is None else ((declaration.prefix,), (0,))
    readings = (_only_whole_stride(count, image, prefixes) for prefixes in inexact)
    return _proportional(count, image, usual) or next(filter(None, readings), None) or _proportional(count, image, more)


def _with_prefix(grid: Size, count: int, prefixes: Iterable[int]) -> Layout | None:
    """Return the layout of `count` tokens with this grid, None where the number of prefix tokens is not allowed."""
    layout = Layout("tokens", grid)
    prefix = count - layout.count
    return Layout("tokens", grid, prefix) if layout.count and prefix in prefixes else None


def _only_whole_stride(count: int, image: Size, prefixes: Iterable[int]) -> Layout | None:
    """Return the one grid that some whole stride makes of an image whose sides it does not divide, or of a volume.

    Raises:
        LayerError: several strides make grids of so many cells.
    """
    layouts: dict[Layout, bool] = {}
    for depth in range(1, image[0] + 1) if len(image) == 3 else (1,):
        for side in range(1, max(image[-2:]) + 1):
            stride = (depth, side, side)[-len(image) :]
            exact = all(side % step == 0 for side, step in zip(image, stride, strict=True) if side > 1)
            for layout in (_with_prefix(grid, count, prefixes) for grid in _grids_of(image, stride)):
                if layout:
                    layouts[layout] = exact or layouts.get(layout, False)
    best = [layout for layout, exact in layouts.items() if exact] or list(layouts)
    if len(best) > 1:
        choices = " or ".join(repr(str(layout)) for layout in sorted(best, key=str))
        raise LayerError(
            f"{count} tokens of an image of {' x '.join(map(str, image))} could be {choices}; say which with layout="
        )
    return next(iter(best), None)


def _grids_of(image: Size, stride: Size) -> Iterator[Size]:
    """Yield the grids that patches of a size make: without the rest at the edge, and with it."""
    if len(stride) < len(image):
        stride = (1, *stride)
    pairs = list(zip(image, stride[-len(image) :], strict=True))
    yield tuple(side // step for side, step in pairs)
    yield tuple(-(-side // step) for side, step in pairs)


def _proportional(count: int, image: Size, prefixes: Iterable[int]) -> Layout | None:
    """Return the grid whose sides are exactly in the image's proportions, None where the cells make none."""
    if len(image) == 2:
        height, width = image
        for prefix in prefixes:
            cells = count - prefix
            h = round((cells * height / width) ** 0.5) if cells > 0 else 0
            if h and cells % h == 0 and h * width == (cells // h) * height:
                return Layout("tokens", (h, cells // h), prefix)
    return None


def _cells(grid: Size) -> str:
    return f"{' x '.join(map(str, grid))} cells"
