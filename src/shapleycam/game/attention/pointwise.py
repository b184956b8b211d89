"""Operations that compute each number from the numbers at the same place: sums, products, activation functions."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from shapleycam.game.attention.forms import NO_TOKEN, Form, Rows, Scores, count_rows
from shapleycam.game.attention.operation import Kind, Operation, channels
from shapleycam.game.axes import Axis
from shapleycam.game.dataflow import operation_name
from shapleycam.tracing.elementwise import is_marked_elementwise

_UNMARKED = {"hardswish", "hardswish_", "_prelu_kernel", "leaky_relu", "leaky_relu_"}
"""Pointwise operations without PyTorch's tag for them: `leaky_relu` has none in 2.11, the others none even in 2.15."""
COPIES = {"clone", "_to_copy", "detach", "alias", "contiguous", "lift_fresh"}


def is_pointwise(function: object) -> bool:
    """Return whether an operation of PyTorch computes each number from those at the same place, and not at random.

    PyTorch's own tags say so, or the lists of this module. Operations of other libraries are not trusted.
    """
    name, tags = operation_name(function), getattr(function, "tags", ())
    if "." in name:
        return False
    is_marked = is_marked_elementwise(function) and torch.Tag.nondeterministic_seeded not in tags
    return name in COPIES | _UNMARKED or is_marked


class Pointwise(Kind):
    """Broadcasts the operands; a row of the result depends on the tokens that the same row of the operands does."""

    def forms(self, operation: Operation) -> Sequence[Form] | None:
        shape = operation.shapes[0]
        dependent = operation.dependent
        if len(dependent) == 1 and isinstance(dependent[0], Scores):
            scores = dependent[0]
            is_allowed = not scores.is_normalized or operation.name in COPIES
            is_same_shape = (
                len(scores.axes) == len(shape) and operation.operand_shapes[self._scores(operation)] == shape
            )
            return [scores] if is_allowed and is_same_shape else None
        rows = [form for form in dependent if isinstance(form, Rows)]
        if len(rows) != len(dependent):
            return None
        axes = broadcast_axes(rows, shape)
        return None if axes is None else [Rows(axes, merge_tokens(rows, axes))]

    @staticmethod
    def _scores(operation: Operation) -> int:
        return next(number for number, form in enumerate(operation.forms) if isinstance(form, Scores))


def broadcast_axes(forms: Sequence[Rows], shape: Sequence[int]) -> tuple[Axis, ...] | None:
    """Return the axes of a result of this shape, to which tensors are broadcast; None if their axes conflict."""
    axes = []
    for dim in range(-len(shape), 0):
        present = {form.axes[dim] for form in forms if len(form.axes) >= -dim and form.axes[dim]}
        if len(present) > 1:
            return None
        axes.append(present.pop() if present else channels(shape[dim]))
    has_rows_along_several = any(count_rows(form.axes) not in {1, count_rows(axes)} for form in forms)
    return None if has_rows_along_several else tuple(axes)


def merge_tokens(forms: Sequence[Rows], axes: Sequence[Axis]) -> tuple[int, ...] | None:
    """Return the token that each row of a result depends on; None if a row may depend on several tokens."""
    count = count_rows(axes)
    merged = [NO_TOKEN] * count
    for form in forms:
        if form.tokens is None:
            return None
        tokens = form.tokens * count if len(form.tokens) == 1 else form.tokens
        for row, token in enumerate(tokens):
            if token != NO_TOKEN and merged[row] not in {NO_TOKEN, token}:
                return None
            merged[row] = token if token != NO_TOKEN else merged[row]
    return tuple(merged)
