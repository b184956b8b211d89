"""Guessing a layout from a shape: the one that the model declares, or the only grid in the image's proportions.

A guess proves nothing. It is used only if the activation's positions cannot be traced back to the image, and is then
tested on each cell (docs/decisions.md, "Layouts are proven by coordinates, not inferred from shapes").
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal

from torch import nn

from shapleycam.errors import LayerError
from shapleycam.models.layout import Layout, LayoutKind, Size
from shapleycam.models.token_declaration import TokenDeclaration

_MOST_PREFIX_TOKENS = 8
"""The largest number tried if the model declares neither it nor the patch size; twice as many with a patch size."""
_STRIDES = 6
"""Number of strides tried for a declared patch size, each twice the last: networks that merge patches halve grids."""
_CHANNELS_FIRST = (
    *(nn.Conv2d, nn.ConvTranspose2d, nn.BatchNorm2d, nn.MaxPool2d, nn.AvgPool2d, nn.GroupNorm),
    *(nn.Conv3d, nn.ConvTranspose3d, nn.BatchNorm3d, nn.MaxPool3d, nn.AvgPool3d),
)


def guess_layout(
    shape: tuple[int, ...], image: Size, module: nn.Module | None = None, declaration: TokenDeclaration | None = None
) -> Layout | None:
    """Return the layout of an activation of `shape` (b, ...) for images of a given size; None if it has no grid.

    The type of the module that returned the activation may say where the channels are. Otherwise the grid consists of
    the dimensions that are in the image's proportions.

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
    """Return where the channels of a module's output are; None if the module's type does not determine it."""
    if isinstance(module, _CHANNELS_FIRST):
        return "first"
    if type(module) is nn.LayerNorm:
        return "last"
    normed = getattr(module, "normalized_shape", None)  # of timm's LayerNorm2d, say
    if isinstance(normed, (tuple, list)) and len(normed) == 1 and shape[1] != shape[-1]:
        return "first" if shape[1] == normed[0] else "last" if shape[-1] == normed[0] else None
    return None


def _channels_inside(module: nn.Module | None) -> Literal["first", "last"] | None:
    """Return where the channels are according to the last submodule whose type determines it."""
    for inner in reversed(list(module.modules()) if module is not None else []):
        if isinstance(inner, _CHANNELS_FIRST):
            return "first"
        if isinstance(inner, nn.Linear) or type(inner) is nn.LayerNorm:
            return "last"
    return None


def _fits(grid: Size, image: Size) -> bool:
    """Return whether a grid may be the image at one stride for both sides.

    The grid is not finer than the image, and at the stride s = (H + W) / (h + w) its height is right to within a cell,
    |h - H / s| < 1, which makes its width right too.
    """
    (*_, h, w), (*_, height, width) = grid, image
    depth_fits = all(d <= depth for d, depth in zip(grid[:-2], image[-len(grid) : -2], strict=True))
    return depth_fits and h <= height and w <= width and abs(h * width - w * height) < height + width


def _token_layout(count: int, image: Size, declaration: TokenDeclaration) -> Layout | None:
    """Return the layout of `count` tokens, or None.

    The first that exists of: the grid of the declared patch size; the grid in the image's exact proportions; the grid
    of the only integer stride that gives this number of tokens; a grid in exact proportions after an unusual number of
    prefix tokens.
    """
    usual = (0, 1) if declaration.prefix is None else (declaration.prefix, 0)
    more = range(2, _MOST_PREFIX_TOKENS + 1) if declaration.prefix is None else range(1, _MOST_PREFIX_TOKENS + 1)
    if declaration.patch is not None:
        allowed = range(2 * _MOST_PREFIX_TOKENS + 1) if declaration.prefix is None else usual
        strides = (tuple(side * 2**i for side in declaration.patch) for i in range(_STRIDES))
        layouts = (_with_prefix(grid, count, allowed) for stride in strides for grid in _grids_of(image, stride))
        fitting = [layout for layout in layouts if layout]
        if fitting:
            return min(fitting, key=lambda layout: allowed.index(layout.prefix))
    inexact = (usual,) if declaration.prefix is None else ((declaration.prefix,), (0,))
    readings = (_only_whole_stride(count, image, prefixes) for prefixes in inexact)
    return _proportional(count, image, usual) or next(filter(None, readings), None) or _proportional(count, image, more)


def _with_prefix(grid: Size, count: int, prefixes: Iterable[int]) -> Layout | None:
    """Return the layout of `count` tokens with this grid; None if the number of prefix tokens is not allowed."""
    layout = Layout("tokens", grid)
    prefix = count - layout.count
    return Layout("tokens", grid, prefix) if layout.count and prefix in prefixes else None


def _only_whole_stride(count: int, image: Size, prefixes: Iterable[int]) -> Layout | None:
    """Return the only layout of `count` tokens that an integer stride gives, or None.

    Layouts by strides that divide the image evenly take precedence over others.

    Raises:
        LayerError: several layouts are possible.
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
    """Yield the image's grids of patches of size `stride`: without incomplete patches at the edge, and with them."""
    if len(stride) < len(image):
        stride = (1, *stride)
    pairs = list(zip(image, stride[-len(image) :], strict=True))
    yield tuple(side // step for side, step in pairs)
    yield tuple(-(-side // step) for side, step in pairs)


def _proportional(count: int, image: Size, prefixes: Iterable[int]) -> Layout | None:
    """Return the layout whose grid has exactly the image's proportions; None if there is none."""
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
