"""Reading a layout off the places of an activation: accepted where cell by cell they are the image's, in its order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import prod

import torch
from torch import Tensor

from shapleycam.layers.coordinates.places import Places, compact
from shapleycam.layers.coordinates.windows import continued
from shapleycam.models.layout import Layout, LayoutKind

_CELL = 0.5
"""How far a cell may lie from its row and column, in cells."""
_EVEN = 1.01
"""How far a row or column may lie from where it were if all were evenly spaced, in cells: a pooling to more cells than
there are repeats some."""
_CHANNELS = 1 / 16
"""How far the channels of a cell may lie apart, as a share of the image's side, or by a cell."""
_DRAWN = 0.25
"""How far a cell may lie from where it is drawn (the grid covers the whole image), as a share of the image's side, or
in cells: what convolutions without padding leave out at the border."""
_BORDER = 1 / 16
"""How far from the border of the image the outermost cells may end without having mixed in what lies there (a crop),
or lie beyond it (padding to a square), as a share of the image's side, or by a cell."""
_GLOBAL = 0.25
"""How much more than the cells of the grid a token must mix, as a share of the image, to be none of them."""
_ALL = 0.9
"""How much of the way from the middle to the outermost cells a prefix token must mix, if it sees the image at all."""


@dataclass(frozen=True)
class Reading:
    """What the places of an activation prove: its layout, or why it has none that can be explained.

    `unknown` tells that places were lost on the way, so that the reason is no proof of the contrary.
    """

    layout: Layout | None
    reason: str = ""
    unknown: bool = False


def read(places: Places | None, size: Sequence[int]) -> Reading:
    """Read the layout of an activation of one image off its places, those of the image's axes of `size` alone.

    Args:
        places: (axes + 1, 1, *shape) of an activation (1, *shape); None if it does not depend on the image.
        size: the image's height and width, with the depth before them where it has one.
    """
    if places is None:
        return Reading(None, "it does not depend on the image by any operation of PyTorch", unknown=True)
    places = places[:, 0]
    if places.dim() < 3:
        return Reading(None, "it has no axis of places beside its channels")
    few = compact(places)
    lost = bool((few[0].isnan() & few[-1].isinf()).any())
    if places.dim() == 3:
        return _of_tokens(places, size, lost=lost)
    return _of_map(places, size, lost=lost)


def _of_map(places: Places, size: Sequence[int], *, lost: bool) -> Reading:
    """Of an activation with rows and columns of its own."""
    dims, few = places.dim() - 1, compact(places)
    kinds: tuple[LayoutKind, LayoutKind] = ("NCHW", "NHWC") if dims == 3 else ("NCDHW", "NDHWC")
    if dims > 4 or dims - 1 > len(size):
        return Reading(None, f"it has {dims} axes beside the images; expected channels and {_axes(size)}", lost)
    if not lost and bool(few[0].isnan().any()):  # padding around the map
        for dim in range(1, places.dim()):
            places = continued(places, dim, places.shape[dim] // 4)
    reasons = []
    for kind, channels in zip(kinds, (1, dims), strict=True):
        grid = tuple(side for axis, side in enumerate(places.shape[1:], 1) if axis != channels)
        reason = _misplaced(places.movedim(channels, -1), grid, size)
        if reason is None:
            return Reading(Layout(kind, grid))
        reasons.append(reason)
    return Reading(None, _along_which(places, size) or reasons[0], lost)


def _of_tokens(places: Places, size: Sequence[int], *, lost: bool) -> Reading:
    """Of a row of tokens (n, k), the first of which may have no place."""
    places = _without_copies(places)
    local = ~places[0].isnan()
    placed = local.all(1)
    if not bool(placed.any()):
        whole = "tokens has a place in the image by all of its channels"
        return Reading(None, f"none of its {whole if local.any() else 'elements has a place in the image'}", lost)
    spread = torch.where(placed, places[-1].amax(1), torch.inf)
    placed &= spread <= spread.min() + _GLOBAL * min(side for side in size if side > 1 or max(size) == 1)
    first = int(placed.int().argmax())
    count = int(placed.sum())
    if not _everywhere(places[:, :first], places[:, placed]):
        return Reading(None, f"the first {first} of its {len(placed)} tokens stand for parts of the image", lost)
    if not bool(placed[first : first + count].all()):
        return Reading(None, "tokens with and without a place in the image alternate", lost)
    if first + count < len(placed):
        after = len(placed) - first - count
        return Reading(None, f"the last {after} of its {len(placed)} tokens have no place in the image", lost)
    cells = places[:, first:]
    for grid in sorted(_grids(count, len(size)), key=lambda grid: _disproportion(grid, size)):
        if _misplaced(cells, grid, size) is None:
            return Reading(Layout("tokens", grid, first))
    return Reading(None, _along_which(places, size) or _order_of(cells, first, size), lost)


def _everywhere(tokens: Places, cells: Places) -> bool:
    """Whether tokens do not depend on the image, or on all cells of it alike."""
    coordinates = cells[:-1].flatten(1)
    low, high = coordinates.amin(1), coordinates.amax(1)
    reach, middle = ((high - low) / 2).sum(), ((high + low) / 2).reshape(-1, 1, 1)
    constant = tokens[0].isnan() & tokens[-1].isnan()
    central = (tokens[:-1] - middle).abs().sum(0) <= (1 - _ALL) * reach
    return bool((constant | (central & (tokens[-1] >= _ALL * reach))).all())


def _misplaced(cells: Places, grid: tuple[int, ...], size: Sequence[int]) -> str | None:
    """Why cells (axes + 1, …, channels) are not the grid of the image in reading order; None if they are."""
    cells = _without_copies(cells)
    low, high = cells[:-1].amin(-1), cells[:-1].amax(-1)
    if bool(low.isnan().any()):
        return "not every cell has a place in the image"
    middle, apart = ((low + high) / 2).reshape(-1, *grid), (high - low).reshape(-1, *grid)
    if len(grid) < len(size):  # the depth is gone
        middle, apart = middle[-len(grid) :], apart[-len(grid) :]
    sides = size[-len(grid) :]
    for axis, (count, side) in enumerate(zip(grid, sides, strict=True)):
        others = tuple(other for other in range(len(grid)) if other != axis)
        line = middle[axis].mean(others) if others else middle[axis]
        pitch = float(line[-1] - line[0]) / (count - 1) if count > 1 else side / 2
        shape = [-1 if other == axis else 1 for other in range(len(grid))]
        if pitch <= 0 or bool((line.diff() < 0).any()):
            return f"{_name(axis, len(grid))} do not follow each other"
        regular = line[0] + pitch * torch.arange(count, device=line.device)
        apart_in_line = (middle[axis] - line.reshape(shape)).abs().max() / pitch
        uneven = (line - regular).abs().max() / pitch
        channels_apart = apart[axis].max() / max(pitch, _CHANNELS * side)
        if apart_in_line > _CELL or uneven > _EVEN or channels_apart > 1:
            return f"{_name(axis, len(grid))} are not evenly spaced lines of the image"
        drawn = (torch.arange(count, device=line.device) + 0.5) * side / count - 0.5
        mixed = cells[-1].amax(-1).reshape(grid).movedim(axis, 0)
        first, last = float(mixed[0].max()), float(mixed[-1].max())
        room = max(pitch, _BORDER * side)
        left_out = max(float(line[0]) - first, side - 1 - float(line[-1]) - last) > room
        beyond = max(-float(line[0]), float(line[-1]) - side + 1) > room
        if left_out or beyond or bool(((line - drawn).abs() > max(side / count, _DRAWN * side)).any()):
            start, end = float(line[0] - pitch / 2 + 0.5), float(line[-1] + pitch / 2 + 0.5)  # the pixels' edges
            only = "" if beyond else "only "
            return f"its {_name(axis, len(grid))} cover the image {only}from pixel {start:.0f} to {end:.0f} of {side}"
    return None


def _without_copies(cells: Places) -> Places:
    """One channel, where all are alike since they were expanded from it."""
    return cells.narrow(-1, 0, 1) if cells.stride(-1) == 0 else cells


def _grids(count: int, axes: int) -> Iterator[tuple[int, ...]]:
    """All grids of a number of cells."""
    if axes == 1:
        yield (count,)
        return
    for side in range(1, count + 1):
        if count % side == 0:
            yield from ((side, *rest) for rest in _grids(count // side, axes - 1))


def _disproportion(grid: Sequence[int], size: Sequence[int]) -> float:
    """How oblong the cells would be."""
    sides = [side / count for side, count in zip(size[-2:], grid[-2:], strict=True)]
    return max(sides) / min(sides)


def _along_which(places: Places, size: Sequence[int]) -> str | None:
    """Along which axes of the activation places vary, where they are not the ones of any layout."""
    places, varied = compact(places), []
    for dim in range(1, places.dim()):
        coordinates = places[:-1].nan_to_num(nan=torch.inf)
        low = coordinates.amin(dim)
        high = places[:-1].nan_to_num(nan=-torch.inf).amax(dim)
        differs = ((high - low) > 0.1 * min(size)).flatten(1).float().mean(1)
        varied.append(bool((differs > 0.5).any()))
    axes = [str(dim) for dim, does in enumerate(varied, 1) if does]
    expected = "1" if places.dim() == 3 else None
    if not axes or ",".join(axes) == expected:
        return None
    if places.dim() == 3:
        return f"its places lie along axis {' and '.join(axes)}; expected axis 1, of tokens (b, n, k)"
    grids = [list(map(str, range(2, places.dim()))), list(map(str, range(1, places.dim() - 1)))]
    if axes in grids:
        return None
    plural = "axes" if len(axes) > 1 else "axis"
    return f"its places lie along {plural} {' and '.join(axes)}; expected {' and '.join(grids[0])}, or those before"


def _order_of(cells: Places, prefix: int, size: Sequence[int]) -> str:
    """What is known of tokens in another order than reading: whether they are a grid, and where the first ones are."""
    at = cells[:-1].mean(-1)
    levels = [_levels(axis) for axis in at]
    names = ("row", "column") if len(size) == 2 else ("depth", "row", "column")
    whole = prod(len(axis) for axis in levels) == at.shape[1]
    distinct = len({tuple(place) for place in at.round().T.tolist()}) == at.shape[1]
    if not whole or not distinct or at.shape[1] < 2:
        return "its tokens are no grid of places of the image"
    second = [float(axis[1]) for axis in at]
    nearest = [min(range(len(axis)), key=lambda i: abs(axis[i] - at)) for axis, at in zip(levels, second, strict=True)]
    place = ", ".join(f"{name} {index}" for name, index in zip(names, nearest, strict=True))
    grid = " x ".join(str(len(axis)) for axis in levels)
    return f"its tokens are a grid of {grid} in another order than reading: token {prefix + 1} lies at {place}"


def _levels(values: Tensor) -> list[float]:
    """The different coordinates along an axis, those within a quarter of the widest gap taken as one."""
    ordered = sorted(values.tolist())
    widest = max((b - a for a, b in pairwise(ordered)), default=0.0)
    levels = ordered[:1]
    for before, value in pairwise(ordered):
        if value - before > max(widest / 4, 0.25):
            levels.append(value)
    return levels


def _name(axis: int, axes: int) -> str:
    return ("frames", "rows", "columns")[axis + 3 - axes]


def _axes(size: Sequence[int]) -> str:
    return "height and width" if len(size) == 2 else "depth, height and width"
