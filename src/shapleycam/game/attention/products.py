"""Matrix products: of rows with constants, of queries with keys, and of attention weights with values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from shapleycam.game.attention.forms import (
    CONSTANT,
    ROW,
    Form,
    RowChoice,
    Rows,
    Scores,
    has,
    is_row_axis,
    without_rows,
)
from shapleycam.game.attention.operation import Kind, Operation, channels
from shapleycam.game.axes import Axis, make_axis

_FACTORS = {"mm": (0, 1), "bmm": (0, 1), "addmm": (1, 2), "baddbmm": (1, 2), "linear": (0, 1)}
"""The indices of the two factors among the tensor operands of a product; a third tensor is added to the product."""


class _Sides(NamedTuple):
    left: Form
    right: Form


class Product(Kind):
    """Multiplies two matrices, or two batches of matrices."""

    needs_whole_constants = True

    def forms(self, operation: Operation) -> Sequence[Form] | None:
        left, right = self._sides(operation)
        added = [form for place, form in enumerate(operation.forms) if place not in _FACTORS[operation.name]]
        if any(form is not CONSTANT for form in added):
            return None
        form: Form = None
        if isinstance(left, Rows) and right is CONSTANT:
            form = self._times_constant(operation, left, -1)
        elif operation.name == "linear":  # its right factor is transposed, and may be a vector
            return None
        elif isinstance(left, Rows) and isinstance(right, Rows):
            form = _scores(left, right)
        elif isinstance(left, Scores) and isinstance(right, Rows):
            form = _attended(left, right)
        elif isinstance(right, Rows) and left is CONSTANT:
            form = self._times_constant(operation, right, -2)
        return None if form is None else [form]

    def _times_constant(self, operation: Operation, rows: Rows, summed: int) -> Rows | None:
        """Return the form of a product of rows and a constant, which sums over dimension `summed` (-1 or -2)."""
        whole = without_rows(rows, operation.prefix) if has((rows.axes[summed],), ROW) else rows
        if whole is None or has((whole.axes[summed],), "batch"):
            return None
        axes = list(whole.axes)
        axes[summed] = channels(operation.shapes[0][summed])
        return Rows(tuple(axes), whole.tokens)

    def demand(self, operation: Operation, result: int, rows: RowChoice) -> list[RowChoice]:
        left, right = self._sides(operation)
        needed = super().demand(operation, result, rows)
        left_place, right_place = _FACTORS[operation.name]
        if isinstance(right, Rows) and (isinstance(left, Rows | Scores) or has((right.axes[-2],), ROW)):
            needed[right_place] = None  # all keys, or all rows
        elif isinstance(left, Rows) and has((left.axes[-1],), ROW):
            needed[left_place] = None
        return needed

    def constant_axes(self, operation: Operation, tensor: int, axes: tuple[Axis, ...]) -> tuple[Axis, ...]:
        left_place, right_place = _FACTORS[operation.name]
        if tensor not in {left_place, right_place} or operation.name not in {"bmm", "baddbmm"}:
            return axes if tensor not in {left_place, right_place} else ((),) * len(axes)
        return (axes[0], (), ())

    @staticmethod
    def _sides(operation: Operation) -> _Sides:
        return _Sides(*(operation.forms[place] for place in _FACTORS[operation.name]))


def is_attention(operation: Operation) -> bool:
    """Return whether an operation sums the values of tokens with attention weights."""
    places = _FACTORS.get(operation.name, ())
    return any(isinstance(operation.forms[place], Scores) for place in places)


def _scores(queries: Rows, keys: Rows) -> Scores | None:
    """Return the form of the product (g, q, d) x (g, d, k) of queries and keys; g counts images and their heads."""
    if len(queries.axes) != 3 or keys.tokens is None or queries.tokens is None:
        return None
    is_shaped = is_row_axis(keys.axes[2]) and not has((keys.axes[1], queries.axes[2]), "batch", ROW)
    is_of_queries = not queries.axes[1] or is_row_axis(queries.axes[1])
    if not (is_shaped and is_of_queries and queries.axes[0] == keys.axes[0]):
        return None
    return Scores((queries.axes[0], queries.axes[1], make_axis("key", len(keys.tokens), 1)), keys.tokens)


def _attended(weights: Scores, values: Rows) -> Rows | None:
    """Return the form of the product (g, q, k) x (g, k, d): the sums of values with attention weights."""
    is_of_heads = [factor.content for factor in weights.axes[0]] in (["batch"], ["batch", "channel"])
    is_shaped = (
        weights.is_normalized
        and len(weights.axes) == 3
        and is_of_heads
        and weights.axes[0] == values.axes[0]
        and weights.axes[2] == make_axis("key", len(weights.keys), 1)
        and values.axes[1] == make_axis(ROW, len(weights.keys), 1)
        and not has((values.axes[2],), "batch", ROW)
        and not has((weights.axes[1],), "batch", "key")
        and values.tokens == weights.keys
    )
    return Rows((values.axes[0], weights.axes[1], values.axes[2]), None) if is_shaped else None


PRODUCTS: dict[str, Kind] = dict.fromkeys(_FACTORS, Product())
"""The kinds by the names of PyTorch's operations."""
