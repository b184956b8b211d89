"""Check that the cells of an activation are a grid of the image in reading order."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from shapleycam.layers.border_trial import Border
from shapleycam.layers.coordinates.representation import Coordinates

_OFF_LINE = 0.5
"""Maximum distance of a cell from its row and column, in cells."""
_UNEVEN = 1.01
"""Maximum distance of a row or column from evenly spaced lines, in cells: a pooling to more cells than its operand has
repeats some of them."""
_CHANNELS_APART = 1 / 16
"""Maximum distance between the channels of a cell: this share of the image's side, or one cell."""
_OFF_DRAWING = 0.25
"""Maximum distance of a cell from its drawn position (the grid is drawn over the whole image): this share of the
image's side, or one cell. Convolutions without padding leave out a border."""
_BORDER = 1 / 16
"""Maximum width of a border that the outermost cells do not depend on (a crop), and maximum distance of cells beyond
the border (padding to a square): this share of the image's side, or one cell."""


def grid_mismatch(cells: Coordinates, grid: tuple[int, ...], size: Sequence[int]) -> str | None:
    """Return why cells (axes + 1, …, channels) are not a grid of the image in reading order; None if they are."""
    cells = without_channel_copies(cells)
    low, high = cells[:-1].amin(-1), cells[:-1].amax(-1)
    if bool(low.isnan().any()):
        return "not every cell has a place in the image"
    centres, channel_ranges = ((low + high) / 2).reshape(-1, *grid), (high - low).reshape(-1, *grid)
    if len(grid) < len(size):  # the activation has no depth axis
        centres, channel_ranges = centres[-len(grid) :], channel_ranges[-len(grid) :]
    spread = cells[-1].amax(-1).reshape(grid)
    for axis, side in enumerate(size[-len(grid) :]):
        mismatch = _axis_mismatch(centres[axis], channel_ranges[axis], spread, axis, side)
        if mismatch is not None:
            return mismatch
    return None


def distant_borders(cells: Coordinates, grid: tuple[int, ...], size: Sequence[int]) -> tuple[Border, ...]:
    """Return the image's borders that are far outside of the cells (axes + 1, …, channels) of a proven grid."""
    cells = without_channel_copies(cells)[:-1]
    centres = ((cells.amin(-1) + cells.amax(-1)) / 2).reshape(-1, *grid)[-len(grid) :]
    borders = []
    for axis, side in enumerate(size[-len(grid) :]):
        if grid[axis] == 1:  # a single cell is drawn over the whole side
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
    """Return a single channel if all channels were broadcast from one; otherwise the cells unchanged."""
    return cells.narrow(-1, 0, 1) if cells.stride(-1) == 0 else cells


def _axis_mismatch(centres: Tensor, channel_ranges: Tensor, spread: Tensor, axis: int, side: int) -> str | None:
    """Return why the lines of a grid along one axis do not match the image's side of `side` pixels; None if they do.

    `centres` (*grid) are the cells' centres along this axis; `channel_ranges` are the distances between the channels of
    a cell.
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
    """Return a phrase that says which part of the image the lines cover; None if it is the whole image.

    A crop, or convolutions without padding, leave out a border. The spread of the outermost cells shows which of the
    two it is (docs/decisions.md, "A crop is told from convolutions without padding by what the outermost cells have
    mixed in").
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
    start, end = float(line[0] - pitch / 2 + 0.5), float(line[-1] + pitch / 2 + 0.5)  # the pixels' edges
    return f"its {name} cover the image {only}from pixel {start:.0f} to {end:.0f} of {side}"


def _line_name(axis: int, axes: int) -> str:
    return ("frames", "rows", "columns")[axis + 3 - axes]
