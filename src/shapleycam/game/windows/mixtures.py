"""Rules for operations that sum rows, with weights that are the same for all channels.

To find the weights of means and poolings, the operation runs on maps that are 1 in a single row and 0 elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from shapleycam.game.attention.operation import Operation
from shapleycam.game.axes import Axis, make_axis, shape_of_axes
from shapleycam.game.windows.forms import (
    MOST_CELLS,
    Mixing,
    PositionMap,
    compose,
    has,
    is_all_positions,
    is_single_sum,
    numbers_along,
    renumbered,
    row_numbers,
    with_numbered_channels,
)
from shapleycam.game.windows.row_rules import apply_move

_MOST_NUMBERS = 2**22
"""Maximum number of elements of a weight matrix between rows."""
FACTORS = {"mm": (0, 1), "bmm": (0, 1), "addmm": (1, 2), "baddbmm": (1, 2), "linear": (0, 1)}
"""The indices of the two factors among the tensor operands of a product."""


def pool(operation: Operation, form: PositionMap, call: int) -> PositionMap | None:
    """Return the form of a mean, sum, average pooling or cut of positions; None if it is along other dimensions."""
    dims = _pooled_dims(operation, len(form.axes))
    if not has([form.axes[dim] for dim in dims], "position"):
        return None
    if not all(is_all_positions(form.axes[dim]) for dim in dims) or not _lie_alone(form.axes):
        return None
    numbers = row_numbers(form.axes)
    rows = numbers.numel()
    batch = next(dim for dim, axis in enumerate(form.axes) if has((axis,), "batch"))
    if rows**2 > _MOST_NUMBERS or batch in dims:
        return None
    each = torch.arange(rows, device="cpu").reshape([-1 if dim == batch else 1 for dim in range(numbers.dim())])
    made = operation.run([(numbers == each).double()])
    shape = operation.shapes[0]
    kept = [dim for dim in range(len(form.axes)) if len(shape) == len(form.axes) or dim not in dims]
    weights = made.movedim(kept.index(batch), -1).reshape(-1, rows)
    axes = [form.axes[dim] for dim in kept]
    return _mixed(form, axes, shape, weights, call)


def join_sums(operation: Operation, forms: Sequence[PositionMap | None], call: int) -> PositionMap | None:
    """Return the form of a concatenation of single sums over rows of the same tensor; None if it is not one."""
    sums = [form for form in forms if form is not None]
    if len(sums) != len(forms) or int(operation.argument("dim", 0)) % len(operation.shapes[0]) != 1:
        return None
    first, mixings = sums[0].axes, [form.mixing for form in sums]
    known = [mixing for mixing in mixings if mixing is not None and mixing.weights is not None]
    if len(known) < len(sums) or not all(is_single_sum(form) and form.axes == first for form in sums):
        return None
    is_vector = len(first) == 2 and is_batch(first[0]) and first[1] == make_axis("channel", shape_of_axes(first)[1], 1)
    if not is_vector or len({mixing.source for mixing in known}) != 1:
        return None
    axes = (first[0], (*make_axis("position", len(sums), 1), *first[1]))
    weights = torch.cat([mixing.weights for mixing in known if mixing.weights is not None])
    return PositionMap(axes, None, replace(known[0], weights=weights, last=call, result_axes=axes))


def mix_rows(operation: Operation, forms: Sequence[PositionMap | None], call: int) -> PositionMap | None:
    """Return the form of a product of a constant with a tensor that sums each channel over positions."""
    left, right = FACTORS[operation.name]
    form, constant, contracted = (forms[left], right, -1) if forms[left] is not None else (forms[right], left, -2)
    if form is None or not is_all_positions(form.axes[contracted]) or not form.axes[contracted]:
        return None
    others = [axis for dim, axis in enumerate(form.axes) if dim != len(form.axes) + contracted]
    matrix = constant_factor(operation, constant)
    if matrix is None or has(others, "position") or (contracted == -2 and operation.name == "linear"):
        return None
    if operation.argument("alpha", 1) != 1:
        return None
    by_row = matrix.double() if contracted == -2 or operation.name == "linear" else matrix.double().mT
    weights = torch.zeros_like(by_row).index_copy(1, numbers_along(form.axes[contracted], "position"), by_row)
    axes = list(form.axes)
    shape = operation.shapes[0]
    axes[contracted] = make_axis("position", shape[contracted], 1)
    return _mixed(form, axes, shape, weights.cpu(), call)


def starting(form: PositionMap, source: int, call: int) -> Mixing | None:
    """Return a tensor as trivial sums of its own rows, before any summation; None if its windows are unknown."""
    if form.cells is None:
        return None
    axes = with_numbered_channels(form.axes)
    return Mixing(source, axes, form.cells, None, call, call, source, axes)


def _mixed(
    form: PositionMap, axes: Sequence[Axis], shape: Sequence[int], weights: Tensor, call: int
) -> PositionMap | None:
    """Return the form of sums over a tensor's rows; the caller fills in the indices of that tensor and of the sums."""
    new = renumbered(axes, shape)
    before = form.mixing
    if shape_of_axes(new) != tuple(shape):
        return None
    if before is None:
        started = starting(form, -1, call)
        if started is None:
            return None
        before, new = started, with_numbered_channels(new)
    all_weights = weights if before.weights is None else weights @ before.weights
    mixing = Mixing(before.source, before.axes, before.cells, all_weights, before.first, call, -1, new)
    return PositionMap(new, _windows_of(weights, form), mixing)


def _windows_of(weights: Tensor, form: PositionMap) -> Tensor | None:
    """Return the windows of sums over rows; None if they are too large."""
    counts = (weights != 0).sum(1)
    width = int(counts.max())
    if width > MOST_CELLS:
        return None
    order = (weights != 0).double().sort(dim=1, descending=True, stable=True).indices[:, : max(1, width)]
    is_read = torch.arange(order.shape[1], device="cpu") < counts[:, None]
    return compose(torch.where(is_read, order, -1), form.cells)


def seen_otherwise(operation: Operation, form: PositionMap, call: int) -> PositionMap | None:
    """Return the form of sums over rows after a call that changes their shape, as in products with more dimensions.

    The new shape depends on the number of rows of the summed tensor, so this call is treated as part of the sum.
    """
    (moved,) = apply_move(operation, [form]) or [None]
    if not isinstance(moved, PositionMap) or moved.mixing is None:
        return None
    return replace(moved, mixing=replace(moved.mixing, last=call, result_axes=moved.axes))


def _pooled_dims(operation: Operation, count: int) -> list[int]:
    """Return the dimensions of a mean, sum, average pooling or cut."""
    if "pool" in operation.name:
        return list(range(count - (3 if "3d" in operation.name else 2), count))
    dims = operation.argument("dim")
    return sorted(dim % count for dim in ([dims] if isinstance(dims, int) else dims or []))


def is_batch(axis: Axis) -> bool:
    """Return whether an axis consists of images (the batch) only."""
    return [factor.content for factor in axis] == ["batch"]


def _lie_alone(axes: Sequence[Axis]) -> bool:
    """Return whether no position axis also contains channels or images."""
    return all(is_all_positions(axis) for axis in axes if has((axis,), "position"))


def constant_factor(operation: Operation, place: int) -> Tensor | None:
    """Return a constant matrix of a product; None for one that differs between the rows of the batch."""
    constant = operation.call.operands[operation.tensors[place]]
    if not isinstance(constant, Tensor):
        return None
    if operation.name not in {"bmm", "baddbmm"}:
        return constant
    return constant[0] if bool((constant == constant[:1]).all()) else None
