"""Rules for operations whose result has positions again: each of its rows depends on a window of positions alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeAlias

import torch
from torch import Tensor
from torch.nn.functional import pad

from shapleycam.game.attention.moves import MOVES, Expand, Permute, Reshape
from shapleycam.game.attention.operation import Operation
from shapleycam.game.axes import Axis, make_axis, shape_of_axes
from shapleycam.game.windows.forms import (
    OUTSIDE,
    UNKNOWN,
    Form,
    PositionMap,
    axes_of_positions,
    compose,
    factors_of,
    has,
    is_all_positions,
    renumbered,
    row_numbers,
    union,
)
from shapleycam.game.windows.reads import convolution_steps, pooling_steps, window_reads

Rule: TypeAlias = "Callable[[Operation, Sequence[PositionMap | None]], Sequence[Form] | None]"
"""Takes a call and the forms of its tensors, and returns the forms of its results; None where it does not know them."""


def apply_pointwise(operation: Operation, forms: Sequence[PositionMap | None]) -> Sequence[Form] | None:
    """Apply the rule for operations that compute each number from those at its place: a constant may be anything."""
    return _together(forms, operation.shapes[0])


def apply_move(operation: Operation, forms: Sequence[PositionMap | None]) -> Sequence[Form] | None:
    """Apply the rule for reshapes, permutations and repetitions: the rows stay what they are."""
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
    return [_with_windows(form), *[UNKNOWN] * (len(operation.shapes) - 1)]


def apply_reduction(operation: Operation, forms: Sequence[PositionMap | None]) -> Sequence[Form] | None:
    """Apply the rule for operations that look at several channels together: norms, softmaxes, means."""
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
    return [_with_windows(form, axes), *[UNKNOWN] * (len(operation.shapes) - 1)]


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
    return [_with_windows(form, tuple(axes))]


def apply_convolution(operation: Operation, forms: Sequence[PositionMap | None]) -> Sequence[Form] | None:
    """Apply the rule for a convolution with constant weights: a row reads its window."""
    form = forms[0]
    if form is None or any(forms[1:]) or operation.argument("transposed"):
        return None
    if has(form.axes[1:2], "position", "batch"):
        return None
    kernel = operation.operand_shapes[1][2:]
    return _windows(operation, form, convolution_steps(operation, kernel))


def apply_max_pooling(operation: Operation, forms: Sequence[PositionMap | None]) -> Sequence[Form] | None:
    """Apply the rule for a maximum pooling; its second result, the places of the maxima, is not followed."""
    (form,) = forms
    if form is None:
        return None
    dims = 3 if "3d" in operation.name else 2
    pooled = _windows(operation, form, pooling_steps(operation, dims))
    return None if pooled is None else [*pooled, UNKNOWN]


def apply_cut(operation: Operation, forms: Sequence[PositionMap | None]) -> Sequence[Form] | None:
    """Apply the rule for pieces along one dimension: of positions they hold some rows."""
    (form,) = forms
    if form is None:
        return None
    dim = int(operation.argument("dim", 0)) % len(form.axes)
    if has((form.axes[dim],), "batch"):
        return None
    if has((form.axes[dim],), "position"):
        pieces = operation.run([row_numbers(form.axes)])
        return [_of_rows(form, piece) for piece in ([pieces] if isinstance(pieces, Tensor) else pieces)]
    is_dropped = operation.name in {"select", "unbind"}
    return [
        _with_windows(
            form,
            (
                *form.axes[:dim],
                *(() if is_dropped else (make_axis("channel", shape[dim]),)),
                *form.axes[dim + 1 :],
            ),
        )
        for shape in operation.shapes
    ]


def apply_padding(operation: Operation, forms: Sequence[PositionMap | None]) -> Sequence[Form] | None:
    """Apply the rule for padding of positions: rows are repeated, or constant beside the map."""
    (form,) = forms
    if form is None:
        return None
    numbers = row_numbers(form.axes).double()
    padded = operation.run([numbers])
    is_inside = operation.run([torch.ones_like(numbers)]) != operation.run([torch.zeros_like(numbers)])
    return [_of_rows(form, torch.where(is_inside, padded.round().long(), -1))]


def apply_cat(operation: Operation, forms: Sequence[PositionMap | None]) -> Sequence[Form] | None:
    """Apply the rule for tensors one after the other along channels, or along positions."""
    shape = operation.shapes[0]
    dim = int(operation.argument("dim", 0)) % len(shape)
    maps = [form for form in forms if form is not None]
    if has([form.axes[dim] for form in maps], "position"):
        return _cat_of_rows(operation, forms, dim)
    if has([form.axes[dim] for form in maps], "batch"):
        return None
    beside = [replace(form, axes=(*form.axes[:dim], (), *form.axes[dim + 1 :])) for form in maps]
    joined = _together(beside, (*shape[:dim], 1, *shape[dim + 1 :]))
    return joined and [
        replace(form, axes=(*form.axes[:dim], make_axis("channel", shape[dim]), *form.axes[dim + 1 :]))
        for form in joined
        if isinstance(form, PositionMap)
    ]


def apply_stack(operation: Operation, forms: Sequence[PositionMap | None]) -> Sequence[Form] | None:
    """Apply the rule for tensors side by side along a new dimension of channels."""
    shape = list(operation.shapes[0])
    dim = int(operation.argument("dim", 0)) % len(shape)
    channels = make_axis("channel", shape.pop(dim))
    stacked = _together(forms, shape)
    return stacked and [
        replace(form, axes=(*form.axes[:dim], channels, *form.axes[dim:]))
        for form in stacked
        if isinstance(form, PositionMap)
    ]


def _together(forms: Sequence[PositionMap | None], shape: Sequence[int]) -> list[Form] | None:
    """Return the form of what is computed from several tensors at the same place, None where theirs do not agree."""
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


def _with_windows(form: PositionMap, axes: tuple[Axis, ...] | None = None) -> Form:
    """Return the form of what each row becomes by itself, `UNKNOWN` where its window is too large."""
    return UNKNOWN if form.cells is None else PositionMap(form.axes if axes is None else axes, form.cells)


def _of_rows(form: PositionMap, numbers: Tensor) -> Form:
    """Return the form of a tensor that holds some rows of another, by their numbers; -1 where it is constant."""
    axes = form.axes
    if form.cells is None or numbers.dim() > len(axes):
        return UNKNOWN
    if numbers.dim() < len(axes):  # `select` and `unbind` drop the dimension
        dropped = [dim for dim, axis in enumerate(axes) if has((axis,), "position")]
        if len(dropped) != 1:
            return UNKNOWN
        axes = (*axes[: dropped[0]], *axes[dropped[0] + 1 :])
    if not _fits(numbers, axes):
        return UNKNOWN
    cells = compose(numbers.reshape(-1, 1), form.cells)
    return UNKNOWN if cells is None else PositionMap(renumbered(axes, list(numbers.shape)), cells)


def _fits(numbers: Tensor, axes: Sequence[Axis]) -> bool:
    """Return whether numbers of rows lie along the axes of positions alone, and these have nothing else."""
    return all(
        is_all_positions(axis) if has((axis,), "position") else size == 1
        for axis, size in zip(axes, numbers.shape, strict=True)
    )


def _windows(operation: Operation, form: PositionMap, steps: Sequence[tuple[int, int, int, int]]) -> list[Form] | None:
    """Return the form of what windows along the last dimensions become."""
    dims = len(steps)
    axes, shape = form.axes, operation.shapes[0]
    if len(axes) < dims + 2 or has(axes[:-dims], "position") or not all(map(is_all_positions, axes[-dims:])):
        return None
    reads = window_reads(shape_of_axes(axes[-dims:]), shape[-dims:], steps)
    numbers = torch.cat([row_numbers(axes).flatten(), torch.full((1,), -1, device="cpu")])  # the last is that of -1
    cells = compose(numbers[reads], form.cells)
    if cells is None:
        return None
    channels = axes[-dims - 1] if "pool" in operation.name else make_axis("channel", shape[-dims - 1])
    return [PositionMap((*axes[: -dims - 1], channels, *axes_of_positions(shape[-dims:])), cells)]


_NORMS = ("native_batch_norm", "_native_batch_norm_legit", "_native_batch_norm_legit_no_training", "cudnn_batch_norm")
_REDUCTIONS = (
    *("mean", "sum", "amax", "amin", "var", "std", "var_mean", "std_mean", "linalg_vector_norm", "norm", "logsumexp"),
    *("prod", "native_layer_norm", "layer_norm", "_fused_rms_norm", "rms_norm", "_softmax", "_safe_softmax"),
    "_log_softmax",
)
MOVE_NAMES = frozenset(MOVES)
RULES: dict[str, Rule] = {
    **dict.fromkeys(_NORMS, apply_norm),
    **dict.fromkeys(_REDUCTIONS, apply_reduction),
    **dict.fromkeys(("mm", "bmm", "addmm", "baddbmm", "linear"), apply_channel_product),
    "convolution": apply_convolution,
    **dict.fromkeys(("max_pool2d_with_indices", "max_pool3d_with_indices"), apply_max_pooling),
    **dict.fromkeys(("select", "slice", "split", "split_with_sizes", "unbind", "chunk"), apply_cut),
    **dict.fromkeys(
        (f"{kind}_pad{dims}d" for kind in ("reflection", "replication") for dims in (1, 2, 3)), apply_padding
    ),
    "constant_pad_nd": apply_padding,
    "cat": apply_cat,
    "stack": apply_stack,
}
"""The rules by the names of PyTorch's operations; pointwise ones are told by PyTorch itself."""


def _dims_together(operation: Operation, form: PositionMap) -> set[int]:
    """Return the dimensions along which numbers are looked at together."""
    count = len(form.axes)
    normalized = operation.argument("normalized_shape")
    if normalized is not None:
        return set(range(count - len(normalized), count))
    dims = operation.argument("dim")
    return {dim % count for dim in ([dims] if isinstance(dims, int) else dims or [])}


def _cat_of_rows(operation: Operation, forms: Sequence[PositionMap | None], dim: int) -> Sequence[Form] | None:
    """Return the form of tensors one after the other along positions; constants have no positions."""
    maps = [form for form in forms if form is not None]
    numbers, windows, known = [], [], 0
    for form, shape in zip(forms, operation.operand_shapes, strict=True):
        if form is None:
            sizes = [size if has((axis,), "position") else 1 for size, axis in zip(shape, maps[0].axes, strict=True)]
            numbers.append(torch.full(sizes, -1, dtype=torch.long, device="cpu"))
        elif form.cells is None:
            return None
        else:
            numbers.append(row_numbers(form.axes) + known)
            windows.append(form.cells)
            known += len(form.cells)
    beside = {tuple(axis for place, axis in enumerate(form.axes) if not has((axis,), "position")) for form in maps}
    if len(beside) != 1 or any(each.dim() != numbers[0].dim() for each in numbers):
        return None
    width = max(cells.shape[1] for cells in windows)
    padded = [pad(cells, (0, width - cells.shape[1]), value=OUTSIDE) for cells in windows]
    return [_of_rows(PositionMap(maps[0].axes, torch.cat(padded)), torch.cat(numbers, dim))]
