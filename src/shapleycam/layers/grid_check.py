"""Check, cell by cell, that the cells of an activation form a grid over the image in reading order."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from shapleycam.layers.border_trial import Border
from shapleycam.layers.coordinates.representation import Coordinates

_OFF_LINE = 0.5
"""How far a cell may be from its row and column, in cells."""
_UNEVEN = 1.01
"""How far a row or column may be from its place in an evenly spaced grid, in cells. It is more than a cell because
adaptive pooling to more cells than its input has repeats some of them."""
_CHANNELS_APART = 1 / 16
"""How far apart the channels of a cell may be: this share of the image's side, or one cell if that is more."""
_OFF_DRAWING = 0.25
"""How far a cell may be from where it is drawn: this share of the image's side, or one cell if that is more. The grid
is drawn over the whole image, but convolutions without padding leave out its border."""
_BORDER = 1 / 16
"""How wide a border may be that the outermost cells do not read (a crop), and how far cells may be outside the image
(padding to a square): this share of the image's side, or one cell if that is more."""


def grid_mismatch(cells: Coordinates, grid: tuple[int, ...], size: Sequence[int]) -> str | None:
    """Return why cells (axes + 1, …, channels) are not a grid over the image in reading order; None if they are."""
    cells = without_channel_copies(cells)
    low, high = cells[:-1].amin(-1), cells[:-1].amax(-1)
    if bool(low.isnan().any()):
        return "not every cell has a place in the image"
    centres, channel_ranges = ((low + high) / 2).reshape(-1, *grid), (high - low).reshape(-1, *grid)
    if len(grid) < len(size):  # the activation has no depth, though the image has one
        centres, channel_ranges = centres[-len(grid) :], channel_ranges[-len(grid) :]
    spread = cells[-1].amax(-1).reshape(grid)
    for axis, side in enumerate(size[-len(grid) :]):
        mismatch = _axis_mismatch(centres[axis], channel_ranges[axis], spread, axis, side)
        if mismatch is not None:
            return mismatch
    return None


def distant_borders(cells: Coordinates, grid: tuple[int, ...], size: Sequence[int]) -> tuple[Border, ...]:
    """Return the borders of the image that are far from the outermost cells (axes + 1, …, channels) of a valid grid."""
    cells = without_channel_copies(cells)[:-1]
    centres = ((cells.amin(-1) + cells.amax(-1)) / 2).reshape(-1, *grid)[-len(grid) :]
    borders = []
    for axis, side in enumerate(size[-len(grid) :]):
        if grid[axis] == 1:  # a single cell is drawn over the whole side, wherever it is
            continue
        other_axes = tuple(index for index in range(len(grid)) if index != axis)
        line = centres[axis].mean(other_axes) if other_axes else centres[axis]
        pitch = float(line[-1] - line[0]) / (len(line) - 1)
        margin = max(pitch, _BORDER * side)
        mismatch = _cover_in_words(line, pitch, side, _line_name(axis, len(grid)), "only ")
        ends = ((False, float(line[0])), (True, side - 1 - float(line[-1])))
        in_image = axis + len(size) - len(grid)
        borders += [Border(in_image, at_end, int(margin) + 1, mismatch) for at_end, gap in ends if gap > margin]
    return tuple(borders)


def without_channel_copies(cells: Coordinates) -> Coordinates:
    """Return the first channel if all channels are broadcast from it; otherwise all channels."""
    return cells.narrow(-1, 0, 1) if cells.stride(-1) == 0 else cells


def _axis_mismatch(centres: Tensor, channel_ranges: Tensor, spread: Tensor, axis: int, side: int) -> str | None:
    """Return why the grid lines along one axis do not cover the image's side of `side` pixels; None if they do.

    Args:
        centres: (*grid), the coordinate of each cell along this axis.
        channel_ranges: (*grid), how far apart the channels of each cell are.
        spread: (*grid), how far the pixels that each cell reads are from its centre.
        axis: the axis of the grid.
        side: the length of the image along this axis, in pixels.
    """
    axes, count = centres.dim(), centres.shape[axis]
    name = _line_name(axis, axes)
    other_axes = tuple(index for index in range(axes) if index != axis)
    line = centres.mean(other_axes) if other_axes else centres
    pitch = float(line[-1] - line[0]) / (count - 1) if count > 1 else side / 2
    if pitch <= 0 or bool((line.diff() < 0).any()):
        return f"{name} do not follow each other"
    shape = [-1 if index == axis else 1 for index in range(axes)]
    evenly_spaced = line[0] + pitch * torch.arange(count, device=line.device)
    off_line = (centres - line.reshape(shape)).abs().max() / pitch
    uneven = (line - evenly_spaced).abs().max() / pitch
    channels_apart = channel_ranges.max() / max(pitch, _CHANNELS_APART * side)
    if off_line > _OFF_LINE or uneven > _UNEVEN or channels_apart > 1:
        return f"{name} are not evenly spaced lines of the image"
    return _cover_mismatch(line, pitch, spread.movedim(axis, 0), side, name)


def _cover_mismatch(line: Tensor, pitch: float, spread: Tensor, side: int, name: str) -> str | None:
    """Return which part of the image the grid lines cover; None if they cover all of it.

    A crop or convolutions without padding may leave out a border. In the second case the outermost cells have read it
    (docs/decisions.md, "A crop is told from convolutions without padding by what the outermost cells have mixed in").
    """
    count = len(line)
    drawn = (torch.arange(count, device=line.device) + 0.5) * side / count - 0.5
    first_spread, last_spread = float(spread[0].max()), float(spread[-1].max())
    margin = max(pitch, _BORDER * side)
    left_out = max(float(line[0]) - first_spread, side - 1 - float(line[-1]) - last_spread) > margin
    beyond = max(-float(line[0]), float(line[-1]) - side + 1) > margin
    off_drawing = bool(((line - drawn).abs() > max(side / count, _OFF_DRAWING * side)).any())
    if not (left_out or beyond or off_drawing):
        return None
    return _cover_in_words(line, pitch, side, name, "" if beyond else "only ")


def _cover_in_words(line: Tensor, pitch: float, side: int, name: str, only: str) -> str:
    start, end = float(line[0] - pitch / 2 + 0.5), float(line[-1] + pitch / 2 + 0.5)  # at the edges of pixels
    return f"its {name} cover the image {only}from pixel {start:.0f} to {end:.0f} of {side}"


def _line_name(axis: int, axes: int) -> str:
    return ("frames", "rows", "columns")[axis + 3 - axes]
