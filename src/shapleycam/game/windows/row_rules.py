"""Rules for operations that compute each row from the rows at the same place: its window does not change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from shapleycam.game.attention.moves import MOVES, Expand, Permute, Reshape
from shapleycam.game.attention.operation import Operation
from shapleycam.game.axes import Axis, make_axis
from shapleycam.game.windows.forms import UNKNOWN, Form, PositionMap, factors_of, has, union


def apply_pointwise(operation: Operation, forms: Sequence[PositionMap | None]) -> Sequence[Form] | None:
    """Apply the rule for operations that compute each number from those at the same place; any constant is allowed."""
    return combine_at_same_place(forms, operation.shapes[0])


def apply_move(operation: Operation, forms: Sequence[PositionMap | None]) -> Sequence[Form] | None:
    """Apply the rule for reshapes, permutations and repetitions: the windows of rows do not change."""
    (form,) = (form for form in forms if form is not None)
    move = MOVES[operation.name]
    axes = move.axes(operation, form.axes) if isinstance(move, Reshape | Permute | Expand) else None
    return None if axes is None else [replace(form, axes=axes)]


def apply_norm(operation: Operation, forms: Sequence[PositionMap | None]) -> Sequence[Form] | None:
    """Apply the rule for a batch norm with fixed statistics."""
    form = forms[0]
    is_fixed = operation.name.endswith("no_training") or operation.argument("training") is False
    if form is None or not is_fixed or any(forms[1:]) or has(form.axes[1:2], "position", "batch"):
        return None
    return [with_windows(form), *[UNKNOWN] * (len(operation.shapes) - 1)]


def apply_reduction(operation: Operation, forms: Sequence[PositionMap | None]) -> Sequence[Form] | None:
    """Apply the rule for operations that combine several channels: norms, softmaxes, means."""
    form = forms[0]
    if form is None or any(forms[1:]):
        return None
    dims = _dims_together(operation, form)
    if not dims or has([form.axes[dim] for dim in dims], "position", "batch"):
        return None
    shape = operation.shapes[0]
    is_dropped = len(shape) < len(form.axes)
    axes = tuple(
        axis if dim not in dims else make_axis("channel", 1 if is_dropped else shape[dim])
        for dim, axis in enumerate(form.axes)
        if not (is_dropped and dim in dims)
    )
    return [with_windows(form, axes), *[UNKNOWN] * (len(operation.shapes) - 1)]


def apply_channel_product(operation: Operation, forms: Sequence[PositionMap | None]) -> Sequence[Form] | None:
    """Apply the rule for matrix products of each row's channels with a constant."""
    left, right = ({"addmm": (1, 2), "baddbmm": (1, 2)}).get(operation.name, (0, 1))
    form, contracted, summed = (forms[left], -1, left) if forms[left] is not None else (forms[right], -2, right)
    if form is None or sum(each is not None for each in forms) != 1:
        return None
    if has((form.axes[contracted],), "position", "batch") or (summed == right and operation.name == "linear"):
        return None
    axes = list(form.axes)
    axes[contracted] = make_axis("channel", operation.shapes[0][contracted])
    return [with_windows(form, tuple(axes))]


def apply_stack(operation: Operation, forms: Sequence[PositionMap | None]) -> Sequence[Form] | None:
    """Apply the rule for tensors that are stacked along a new dimension of channels."""
    shape = list(operation.shapes[0])
    dim = int(operation.argument("dim", 0)) % len(shape)
    channels = make_axis("channel", shape.pop(dim))
    stacked = combine_at_same_place(forms, shape)
    return stacked and [
        replace(form, axes=(*form.axes[:dim], channels, *form.axes[dim:]))
        for form in stacked
        if isinstance(form, PositionMap)
    ]


def combine_at_same_place(forms: Sequence[PositionMap | None], shape: Sequence[int]) -> list[Form] | None:
    """Return the form of a result that is computed from tensors at the same place; None if they do not match."""
    maps = [form for form in forms if form is not None]
    axes: list[Axis] = []
    for dim in range(-len(shape), 0):
        along = {form.axes[dim] for form in maps if len(form.axes) >= -dim and form.axes[dim]}
        if len(along) > 1:
            return None
        axes.append(along.pop() if along else make_axis("channel", shape[dim]))
    positions = factors_of(axes, "position")
    if any(sorted(factors_of(form.axes, "position")) != sorted(positions) for form in maps):
        return None
    cells = union([form.cells for form in maps])
    return None if cells is None else [PositionMap(tuple(axes), cells)]


def with_windows(form: PositionMap, axes: tuple[Axis, ...] | None = None) -> Form:
    """Return the form of a result that is computed row by row; `UNKNOWN` if the windows are too large."""
    return UNKNOWN if form.cells is None else PositionMap(form.axes if axes is None else axes, form.cells)


def _dims_together(operation: Operation, form: PositionMap) -> set[int]:
    """Return the dimensions along which the operation combines numbers."""
    count = len(form.axes)
    normalized = operation.argument("normalized_shape")
    if normalized is not None:
        return set(range(count - len(normalized), count))
    dims = operation.argument("dim")
    return {dim % count for dim in ([dims] if isinstance(dims, int) else dims or [])}
