"""Derive a layout from the coordinates of an activation: its cells must be a grid of the image, in reading order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from shapleycam.layers.border_trial import Border
from shapleycam.layers.coordinates.representation import Coordinates, collapse
from shapleycam.layers.coordinates.windows import extrapolate
from shapleycam.layers.grid_check import distant_borders, grid_mismatch, without_channel_copies
from shapleycam.layers.layout_refusals import axes_description, token_order_description, varying_axes_description
from shapleycam.models.layout import Layout, LayoutKind

_GLOBAL_TOKEN = 0.25
"""A token is not a cell if its spread exceeds that of the grid's cells by this share of the image's shorter side."""
_SEES_ALL = 0.9
"""A prefix token that depends on the image must mix this share of the way from the centre to the outermost cells."""


@dataclass(frozen=True)
class LayoutResult:
    """What the coordinates of an activation prove: its layout, or that it has none that can be explained.

    Attributes:
        layout: the proven layout; None if there is none.
        reason: why there is no layout.
        unknown: whether coordinates were lost, so that `reason` is not a proof that there is no layout.
        borders: borders of the image that the layer must read; otherwise the grid covers only a part of the image.
    """

    layout: Layout | None
    reason: str = ""
    unknown: bool = False
    borders: tuple[Border, ...] = ()


def derive_layout(coordinates: Coordinates | None, size: Sequence[int]) -> LayoutResult:
    """Return the layout that the coordinates of one image's activation prove.

    Args:
        coordinates: (axes + 1, 1, *shape) of an activation (1, *shape), only for the image's axes in `size`; None if
            the activation does not depend on the image.
        size: (height, width) of the image; in 3-D (depth, height, width).
    """
    if coordinates is None:
        return LayoutResult(None, "it does not depend on the image by any operation of PyTorch", unknown=True)
    coordinates = coordinates[:, 0]
    if coordinates.dim() < 3:
        return LayoutResult(None, "it has no axis of places beside its channels")
    collapsed = collapse(coordinates)
    lost = bool((collapsed[0].isnan() & collapsed[-1].isinf()).any())
    if coordinates.dim() == 3:
        return _layout_of_tokens(coordinates, size, lost=lost)
    return _layout_of_map(coordinates, size, lost=lost)


def _layout_of_map(coordinates: Coordinates, size: Sequence[int], *, lost: bool) -> LayoutResult:
    """Return the layout of an activation with separate axes of rows and columns."""
    dims, collapsed = coordinates.dim() - 1, collapse(coordinates)
    kinds: tuple[LayoutKind, LayoutKind] = ("NCHW", "NHWC") if dims == 3 else ("NCDHW", "NDHWC")
    if dims > 4 or dims - 1 > len(size):
        reason = f"it has {dims} axes beside the images; expected channels and {axes_description(size)}"
        return LayoutResult(None, reason, lost)
    if not lost and bool(collapsed[0].isnan().any()):  # padding around the map
        for dim in range(1, coordinates.dim()):
            coordinates = extrapolate(coordinates, dim, coordinates.shape[dim] // 4)
    reasons = []
    for kind, channels in zip(kinds, (1, dims), strict=True):
        grid = tuple(side for axis, side in enumerate(coordinates.shape[1:], 1) if axis != channels)
        cells = coordinates.movedim(channels, -1)
        mismatch = grid_mismatch(cells, grid, size)
        if mismatch is None:
            return LayoutResult(Layout(kind, grid), borders=distant_borders(cells, grid, size))
        reasons.append(mismatch)
    return LayoutResult(None, varying_axes_description(coordinates, size) or reasons[0], lost)


def _layout_of_tokens(coordinates: Coordinates, size: Sequence[int], *, lost: bool) -> LayoutResult:
    """Return the layout of tokens (n, k), of which the first ones may be prefix tokens without a place in the image."""
    coordinates = without_channel_copies(coordinates)
    has_centre = ~coordinates[0].isnan()
    is_cell = has_centre.all(1)
    if not bool(is_cell.any()):
        by_channels = "tokens has a place in the image by all of its channels"
        missing = by_channels if has_centre.any() else "elements has a place in the image"
        return LayoutResult(None, f"none of its {missing}", lost)
    spread = torch.where(is_cell, coordinates[-1].amax(1), torch.inf)
    is_cell &= spread <= spread.min() + _GLOBAL_TOKEN * min(side for side in size if side > 1 or max(size) == 1)
    prefix = int(is_cell.int().argmax())
    count = int(is_cell.sum())
    if not _are_global(coordinates[:, :prefix], coordinates[:, is_cell]):
        return LayoutResult(None, f"the first {prefix} of its {len(is_cell)} tokens stand for parts of the image", lost)
    if not bool(is_cell[prefix : prefix + count].all()):
        return LayoutResult(None, "tokens with and without a place in the image alternate", lost)
    if prefix + count < len(is_cell):
        after = len(is_cell) - prefix - count
        return LayoutResult(None, f"the last {after} of its {len(is_cell)} tokens have no place in the image", lost)
    cells = coordinates[:, prefix:]
    for grid in sorted(_grids(count, len(size)), key=lambda grid: _disproportion(grid, size)):
        if grid_mismatch(cells, grid, size) is None:
            return LayoutResult(Layout("tokens", grid, prefix), borders=distant_borders(cells, grid, size))
    reason = varying_axes_description(coordinates, size) or token_order_description(cells, prefix, size)
    return LayoutResult(None, reason, lost)


def _are_global(tokens: Coordinates, cells: Coordinates) -> bool:
    """Return whether each token is either independent of the image, or depends on the whole image."""
    centres = cells[:-1].flatten(1)
    low, high = centres.amin(1), centres.amax(1)
    reach, middle = ((high - low) / 2).sum(), ((high + low) / 2).reshape(-1, 1, 1)
    is_constant = tokens[0].isnan() & tokens[-1].isnan()
    is_central = (tokens[:-1] - middle).abs().sum(0) <= (1 - _SEES_ALL) * reach
    return bool((is_constant | (is_central & (tokens[-1] >= _SEES_ALL * reach))).all())


def _grids(count: int, axes: int) -> Iterator[tuple[int, ...]]:
    """Yield all grids with this number of cells."""
    if axes == 1:
        yield (count,)
        return
    for side in range(1, count + 1):
        if count % side == 0:
            yield from ((side, *rest) for rest in _grids(count // side, axes - 1))


def _disproportion(grid: Sequence[int], size: Sequence[int]) -> float:
    """Return the aspect ratio of the cells, at least 1."""
    sides = [side / count for side, count in zip(size[-2:], grid[-2:], strict=True)]
    return max(sides) / min(sides)
