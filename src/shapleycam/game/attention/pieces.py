"""Operations that cut tensors into pieces along channels or rows, and operations that join pieces."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import torch
from torch import Tensor

from shapleycam.game.attention.forms import (
    NO_TOKEN,
    ROW,
    Form,
    RowChoice,
    Rows,
    count_rows,
    has,
    is_row_axis,
    without_rows,
)
from shapleycam.game.attention.operation import Kind, Operation, channels
from shapleycam.game.attention.pointwise import broadcast_axes, merge_tokens
from shapleycam.game.axes import Axis, make_axis

NO_ROWS = torch.empty(0, dtype=torch.float32, device="cpu")
"""Takes the place of an operand of which no row is needed."""


class Cut(Kind):
    """Cuts the operand into pieces along one dimension: `select`, `slice`, `split` and similar operations."""

    def forms(self, operation: Operation) -> Sequence[Form] | None:
        form = self._operand(operation)
        if form is None:
            return None
        dim = self._dim(operation, form)
        axis = form.axes[dim]
        if has((axis,), "batch") or (is_row_axis(axis) and count_rows(form.axes) != axis[0].size):
            return None
        pieces: list[Form] = []
        for indices in self._pieces(operation, form):
            tokens = form.tokens
            if is_row_axis(axis):
                tokens = form.tokens and tuple(form.tokens[index] for index in indices)
                cut = make_axis(ROW, len(indices), 1)
            else:
                cut = channels(len(indices))
            middle = () if operation.name in {"select", "unbind"} else (cut,)
            pieces.append(Rows((*form.axes[:dim], *middle, *form.axes[dim + 1 :]), tokens))
        return pieces

    def demand(self, operation: Operation, result: int, rows: RowChoice) -> list[RowChoice]:
        form = self._operand(operation)
        if form is None or not is_row_axis(form.axes[self._dim(operation, form)]):
            return [rows if form is operation.forms[0] else None]
        indices = self._pieces(operation, form)[result]
        return [tuple(indices) if rows is None else tuple(indices[row] for row in rows)]

    def run(self, operation: Operation, result: int, tensors: Sequence[Tensor], shape: Sequence[int]) -> Tensor:
        form = self._operand(operation)
        if form is not None and is_row_axis(form.axes[self._dim(operation, form)]):
            return tensors[0].reshape(tuple(shape))  # the operand was computed for the rows of this piece only
        return super().run(operation, result, tensors, shape)

    @staticmethod
    def _operand(operation: Operation) -> Rows | None:
        """Return the operand's form; its rows count as channels if the cut axis contains both. None if unknown."""
        (form,) = operation.forms
        if not isinstance(form, Rows):
            return None
        axis = form.axes[int(operation.argument("dim", 0))]
        is_mixed = has((axis,), ROW) and not is_row_axis(axis)
        return without_rows(form, operation.prefix) if is_mixed else form

    @staticmethod
    def _dim(operation: Operation, form: Rows) -> int:
        return int(operation.argument("dim", 0)) % len(form.axes)

    def _pieces(self, operation: Operation, form: Rows) -> list[range]:
        """Return the indices of each result along the dimension."""
        dim = self._dim(operation, form)
        size = operation.operand_shapes[0][dim]
        if operation.name == "select":
            index = int(operation.argument("index")) % size
            return [range(index, index + 1)]
        if operation.name == "slice":
            return [range(size)[operation.argument("start") : operation.argument("end") : operation.argument("step")]]
        if operation.name == "unbind":
            return [range(index, index + 1) for index in range(size)]
        ends = list(accumulate(shape[dim] for shape in operation.shapes))
        return [range(start, end) for start, end in zip([0, *ends[:-1]], ends, strict=True)]


class Join(Kind):
    """Concatenates the operands along one dimension: `cat`. Along rows, the result has the rows of all operands."""

    needs_whole_constants = True

    def forms(self, operation: Operation) -> Sequence[Form] | None:
        shape = operation.shapes[0]
        dim = self._dim(operation)
        rows = [form for form in operation.dependent if isinstance(form, Rows)]
        if len(rows) != len(operation.dependent) or any(len(each) != len(shape) for each in operation.operand_shapes):
            return None  # PyTorch concatenates empty tensors of one dimension with tensors of any shape
        along = [form.axes[dim] for form in rows]
        beside = [Rows((*form.axes[:dim], (), *form.axes[dim + 1 :]), form.tokens) for form in rows]
        axes = broadcast_axes(beside, [*shape[:dim], 1, *shape[dim + 1 :]])
        if axes is None or any(has((axis,), "batch") for axis in along):
            return None
        if self._joins_rows(along, axes):
            joined = (*axes[:dim], make_axis(ROW, shape[dim], 1), *axes[dim + 1 :])
            return [Rows(joined, self._joined_tokens(operation))]
        if any(has((axis,), ROW) for axis in along):
            return None
        joined = (*axes[:dim], channels(shape[dim]), *axes[dim + 1 :])
        return [Rows(joined, merge_tokens(rows, joined))]

    @staticmethod
    def _joins_rows(along: Sequence[Axis], axes: Sequence[Axis]) -> bool:
        """Return whether rows are concatenated: each operand has rows along the dimension, or is a single row."""
        return not has(axes, ROW) and all(not axis or is_row_axis(axis) for axis in along)

    @staticmethod
    def _dim(operation: Operation) -> int:
        return int(operation.argument("dim", 0)) % len(operation.shapes[0])

    def _sizes(self, operation: Operation) -> list[int]:
        dim = self._dim(operation)
        return [shape[dim] for shape in operation.operand_shapes]

    def _joined_tokens(self, operation: Operation) -> tuple[int, ...] | None:
        tokens: list[int] = []
        for form, size in zip(operation.forms, self._sizes(operation), strict=True):
            if not isinstance(form, Rows):
                tokens += [NO_TOKEN] * size
            elif form.tokens is None:
                return None
            else:
                tokens += form.tokens
        return tuple(tokens)

    def is_along_rows(self, operation: Operation) -> bool:
        """Return whether the operands are concatenated along the rows of the result."""
        (form,) = self.forms(operation) or [None]
        return isinstance(form, Rows) and has((form.axes[self._dim(operation)],), ROW)

    def demand(self, operation: Operation, result: int, rows: RowChoice) -> list[RowChoice]:
        if not self.is_along_rows(operation):
            return super().demand(operation, result, rows)
        sizes = self._sizes(operation)
        chosen = range(sum(sizes)) if rows is None else rows
        starts = [0, *accumulate(sizes)]
        return [
            tuple(row - start for row in chosen if start <= row < start + size)
            for start, size in zip(starts, sizes, strict=False)
        ]

    def constant_axes(self, operation: Operation, tensor: int, axes: tuple[Axis, ...]) -> tuple[Axis, ...]:
        dim = self._dim(operation)
        is_along = is_row_axis(axes[dim])
        own = make_axis(ROW if is_along else "channel", self._sizes(operation)[tensor], int(is_along))
        return (*axes[:dim], own, *axes[dim + 1 :])

    def run(self, operation: Operation, result: int, tensors: Sequence[Tensor], shape: Sequence[int]) -> Tensor:
        del result, shape
        return torch.cat([tensor for tensor in tensors if tensor is not NO_ROWS], self._dim(operation))


class Stack(Kind):
    """Stacks the operands along a new dimension of channels: `stack`."""

    needs_whole_constants = True

    def forms(self, operation: Operation) -> Sequence[Form] | None:
        rows = [form for form in operation.dependent if isinstance(form, Rows)]
        shape, dim = list(operation.shapes[0]), self._dim(operation)
        count = shape.pop(dim)
        axes = broadcast_axes(rows, shape)
        if len(rows) != len(operation.dependent) or axes is None:
            return None
        joined = (*axes[:dim], channels(count), *axes[dim:])
        return [Rows(joined, merge_tokens(rows, joined))]

    def constant_axes(self, operation: Operation, tensor: int, axes: tuple[Axis, ...]) -> tuple[Axis, ...]:
        del tensor
        dim = self._dim(operation)
        return (*axes[:dim], *axes[dim + 1 :])

    @staticmethod
    def _dim(operation: Operation) -> int:
        return int(operation.argument("dim", 0)) % len(operation.shapes[0])


PIECES: dict[str, Kind] = {
    **dict.fromkeys(("select", "slice", "split", "split_with_sizes", "unbind", "chunk"), Cut()),
    "cat": Join(),
    "stack": Stack(),
}
"""The kinds by the names of PyTorch's operations."""
