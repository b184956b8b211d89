"""How a tensor of the head depends on the positions, as far as the proof of a sum over windows follows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import torch
from jaxtyping import Float, Int
from torch import Tensor

from shapleycam.game.axes import Axis, AxisContent, AxisFactor, make_axis

OUTSIDE: Final = 2**40
"""Stands in a window where the number of a position could: outside of the map. Larger than any such number."""
MOST_CELLS: Final = 9
"""Positions of a window at most: 512 contents of it."""
_MOST_NUMBERS = 2**20
"""Numbers at most in a table of windows while it is put together."""


@dataclass(frozen=True, eq=False)
class Mixing:
    """A tensor as sums over the rows of another one, `source`, by weights that are the same for all channels.

    Attributes:
        source: the number of that tensor among those of the data flow.
        axes: of that tensor; its channels have steps, so that they can be told from each other.
        cells: the windows of its rows.
        weights: (rows of this tensor, rows of the source); None where both are the same.
        first: the number of the call that takes the source.
        last: the number of the call that returned this tensor, apart from moves.
        result: the number of the tensor that this call returned.
        result_axes: of that tensor.
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
        """Return the numbers of the source's rows whose weight is not zero everywhere."""
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
    """A tensor with positions: each of its rows depends on the positions in its window alone.

    Attributes:
        axes: of the tensor; the steps of factors of positions count its rows.
        cells: (rows, width), the positions of the activation in each row's window, ascending, `OUTSIDE` at the end;
            None where there are too many.
        mixing: the tensor as sums over rows of another one, where it was just computed as such.
    """

    axes: tuple[Axis, ...]
    cells: Int[Tensor, "rows width"] | None
    mixing: Mixing | None = None


@dataclass(frozen=True)
class OfSum:
    """A tensor computed from sums over rows alone: from the tensor that one call returned.

    `call` and `tensor` are the numbers of these in the data flow; `is_affine`: it is an affine function of that tensor.
    """

    call: int
    tensor: int
    is_affine: bool = True


CONSTANT: Final = None
UNKNOWN: Final = "unknown"
"""The form of a tensor that may depend on positions in another way."""
Form: TypeAlias = "PositionMap | OfSum | str | None"


def factors_of(axes: Sequence[Axis], content: AxisContent) -> list[AxisFactor]:
    """Return the factors of axes that have this content."""
    return [factor for axis in axes for factor in axis if factor.content == content]


def has(axes: Sequence[Axis], *contents: AxisContent) -> bool:
    """Return whether any of some contents lies along axes."""
    return any(factor.content in contents for axis in axes for factor in axis)


def is_all_positions(axis: Axis) -> bool:
    """Return whether positions lie along an axis, and nothing else does."""
    return all(factor.content == "position" for factor in axis)


def numbers_along(axis: Axis, content: AxisContent) -> Int[Tensor, " size"]:
    """Return for each place along an axis the number of its row, or channel, as its steps count them."""
    numbers = torch.zeros(1, dtype=torch.long, device="cpu")
    for factor in axis:
        step = factor.step if factor.content == content else 0
        numbers = (numbers[:, None] + step * torch.arange(factor.size, device="cpu")).flatten()
    return numbers


def row_numbers(axes: Sequence[Axis]) -> Int[Tensor, "*shape"]:
    """Return the number of the row at each place; dimensions without positions have size 1."""
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
    """Return axes whose positions are counted anew in reading order, with these sizes where positions lie alone."""
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
    """Return axes whose channels are counted in the order of the dimensions."""
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
    """Return the form with its windows alone: its channels are no longer told from each other."""
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
    """Return the windows of rows that read earlier rows, -1 where they read none; None where they are too large."""
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
    """Return for each row the window that holds several; None where it is too large, or one of them is not known."""
    known = [cells for cells in windows if cells is not None]
    if len(known) < len(windows) or len({len(cells) for cells in known}) != 1:
        return None
    if all(cells is known[0] or torch.equal(cells, known[0]) for cells in known[1:]):
        return known[0]
    together = torch.cat(known, 1)
    reads = torch.arange(len(together), device="cpu")[:, None]
    return compose(reads, together)
