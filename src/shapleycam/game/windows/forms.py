"""The forms of a head's tensors: their dependence on positions, as the proof of a sum over windows tracks it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import torch
from jaxtyping import Float, Int
from torch import Tensor

from shapleycam.game.axes import Axis, AxisContent, AxisFactor, make_axis

OUTSIDE: Final = 2**40
"""Fills windows with fewer positions than others: outside the map. Larger than the index of any position."""
MOST_CELLS: Final = 9
"""Maximum number of positions in a window; a window of 9 positions has 512 possible contents."""
_MOST_NUMBERS = 2**20
"""Maximum number of elements of a table of windows while it is computed."""


@dataclass(frozen=True, eq=False)
class Mixing:
    """A tensor as weighted sums over the rows of another tensor, the source; all channels have the same weights.

    Attributes:
        source: the index of the source among the tensors of the data flow.
        axes: the axes of the source; its channels have steps, which identify each channel.
        cells: the windows of the source's rows.
        weights: (rows of this tensor, rows of the source); None if each row of this tensor is a row of the source.
        first: the index of the call that takes the source.
        last: the index of the call that returned this tensor, before reshapes and permutations.
        result: the index of the tensor that this call returned.
        result_axes: the axes of that tensor.
    """

    source: int
    axes: tuple[Axis, ...]
    cells: Int[Tensor, "rows width"]
    weights: Float[Tensor, "parts rows"] | None
    first: int
    last: int
    result: int
    result_axes: tuple[Axis, ...]

    @property
    def rows_read(self) -> Int[Tensor, " read"]:
        """Return the indices of the source's rows that have a non-zero weight in some sum."""
        if self.weights is None:
            return torch.arange(len(self.cells), device="cpu")
        return (self.weights != 0).any(0).nonzero().flatten()

    @property
    def leads_with_batch(self) -> bool:
        """Return whether images lie along the first dimension of the sums, and along no other."""
        is_first = [factor.content for factor in self.result_axes[0]] == ["batch"] if self.result_axes else False
        return is_first and len(factors_of(self.result_axes, "batch")) == 1


@dataclass(frozen=True, eq=False)
class PositionMap:
    """A tensor with positions: each of its rows depends only on the positions in its window.

    Attributes:
        axes: the axes of the tensor; the steps of their position factors number its rows.
        cells: (rows, width), the positions of the activation in each row's window, ascending, padded with `OUTSIDE`;
            None if there are too many.
        mixing: the tensor as sums over rows of another tensor, if the latest operations computed it so.
    """

    axes: tuple[Axis, ...]
    cells: Int[Tensor, "rows width"] | None
    mixing: Mixing | None = None


@dataclass(frozen=True)
class OfSum:
    """A tensor that is computed only from sums over rows, which one call returned as one tensor.

    Attributes:
        call: the index of this call in the data flow.
        tensor: the index of the tensor of sums in the data flow.
        is_affine: whether this tensor is an affine function of the tensor of sums.
    """

    call: int
    tensor: int
    is_affine: bool = True


CONSTANT: Final = None
UNKNOWN: Final = "unknown"
"""The form of a tensor that may depend on positions in any other way."""
Form: TypeAlias = "PositionMap | OfSum | str | None"


def factors_of(axes: Sequence[Axis], content: AxisContent) -> list[AxisFactor]:
    """Return the factors of axes that have this content."""
    return [factor for axis in axes for factor in axis if factor.content == content]


def has(axes: Sequence[Axis], *contents: AxisContent) -> bool:
    """Return whether the axes have a factor with one of these contents."""
    return any(factor.content in contents for axis in axes for factor in axis)


def is_all_positions(axis: Axis) -> bool:
    """Return whether an axis consists of positions only."""
    return all(factor.content == "position" for factor in axis)


def numbers_along(axis: Axis, content: AxisContent) -> Int[Tensor, " size"]:
    """Return for each place along an axis the index of its row or channel, which the factors' steps define."""
    numbers = torch.zeros(1, dtype=torch.long, device="cpu")
    for factor in axis:
        step = factor.step if factor.content == content else 0
        numbers = (numbers[:, None] + step * torch.arange(factor.size, device="cpu")).flatten()
    return numbers


def row_numbers(axes: Sequence[Axis]) -> Int[Tensor, "*shape"]:
    """Return the index of the row at each place; dimensions without positions have size 1."""
    numbers = torch.zeros([1] * len(axes), dtype=torch.long, device="cpu")
    for dim, axis in enumerate(axes):
        along = numbers_along(tuple(factor for factor in axis if factor.content == "position"), "position")
        numbers = numbers + along.reshape([-1 if dim == place else 1 for place in range(len(axes))])
    return numbers


def axes_of_positions(sizes: Sequence[int]) -> tuple[Axis, ...]:
    """Return the axes of a map of these sizes, in reading order."""
    axes: list[Axis] = []
    step = 1
    for size in reversed(sizes):
        axes.append(make_axis("position", size, step))
        step *= size
    return tuple(reversed(axes))


def renumbered(axes: Sequence[Axis], sizes: Sequence[int]) -> tuple[Axis, ...]:
    """Return axes with these sizes of position axes, whose positions are renumbered in reading order."""
    fresh: list[Axis] = []
    step = 1
    for axis, size in zip(reversed(axes), reversed(sizes), strict=True):
        if has((axis,), "position"):
            fresh.append(make_axis("position", size, step))
            step *= size
        else:
            fresh.append(axis)
    return tuple(reversed(fresh))


def with_numbered_channels(axes: Sequence[Axis]) -> tuple[Axis, ...]:
    """Return axes whose channels are numbered in the order of the dimensions."""
    numbered: list[Axis] = []
    step = 1
    for axis in reversed(axes):
        factors = []
        for factor in reversed(axis):
            is_channel = factor.content == "channel"
            factors.append(factor._replace(step=step) if is_channel else factor)
            step *= factor.size if is_channel else 1
        numbered.append(tuple(reversed(factors)))
    return tuple(reversed(numbered))


def is_single_sum(form: PositionMap) -> bool:
    """Return whether a tensor is one sum over rows, with no positions left."""
    return form.mixing is not None and form.mixing.weights is not None and len(form.mixing.weights) == 1


def without_mixing(form: PositionMap) -> PositionMap:
    """Return the form with windows only, without the numbering of channels."""
    if form.mixing is None:
        return form
    axes = tuple(
        tuple(factor._replace(step=0) if factor.content == "channel" else factor for factor in axis)
        for axis in form.axes
    )
    return PositionMap(axes, form.cells)


def compose(
    reads: Int[Tensor, "rows reads"], cells: Int[Tensor, "earlier width"] | None
) -> Int[Tensor, "rows more"] | None:
    """Return the windows of rows that read earlier rows (-1: none); None if the windows are too large."""
    if cells is None or reads.numel() * cells.shape[1] > _MOST_NUMBERS:
        return None
    padded = torch.cat([cells, cells.new_full((1, cells.shape[1]), OUTSIDE)])  # the last row is that of -1
    together = padded[reads].flatten(1).sort(1).values
    is_repeated = torch.zeros_like(together, dtype=torch.bool)
    is_repeated[:, 1:] = together[:, 1:] == together[:, :-1]
    distinct = together.masked_fill(is_repeated, OUTSIDE).sort(1).values
    widths = (distinct != OUTSIDE).sum(1)
    width = max(1, int(widths.max())) if len(widths) else 1  # pieces of no tokens have no rows
    return distinct[:, :width] if width <= MOST_CELLS else None


def union(windows: Sequence[Int[Tensor, "rows _"] | None]) -> Int[Tensor, "rows more"] | None:
    """Return for each row the union of several windows; None if it is too large or one of them is unknown."""
    known = [cells for cells in windows if cells is not None]
    if len(known) < len(windows) or len({len(cells) for cells in known}) != 1:
        return None
    if all(cells is known[0] or torch.equal(cells, known[0]) for cells in known[1:]):
        return known[0]
    together = torch.cat(known, 1)
    reads = torch.arange(len(together), device="cpu")[:, None]
    return compose(reads, together)
