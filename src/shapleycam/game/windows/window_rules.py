"""Rules for operations whose rows come from other rows: convolution, pooling, padding, cutting and concatenation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn.functional import pad

from shapleycam.game.attention.operation import Operation
from shapleycam.game.axes import Axis, make_axis, shape_of_axes
from shapleycam.game.windows.forms import (
    OUTSIDE,
    UNKNOWN,
    Form,
    PositionMap,
    axes_of_positions,
    compose,
    has,
    is_all_positions,
    renumbered,
    row_numbers,
)
from shapleycam.game.windows.reads import convolution_steps, pooling_steps, window_reads
from shapleycam.game.windows.row_rules import combine_at_same_place, with_windows


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
    """Apply the rule for a maximum pooling; its second result, the places of the maxima, has an unknown form."""
    (form,) = forms
    if form is None:
        return None
    dims = 3 if "3d" in operation.name else 2
    pooled = _windows(operation, form, pooling_steps(operation, dims))
    return None if pooled is None else [*pooled, UNKNOWN]


def apply_padding(operation: Operation, forms: Sequence[PositionMap | None]) -> Sequence[Form] | None:
    """Apply the rule for padding of positions: rows outside the map repeat rows of the map or are constant."""
    (form,) = forms
    if form is None:
        return None
    numbers = row_numbers(form.axes).double()
    padded = operation.run([numbers])
    is_inside = operation.run([torch.ones_like(numbers)]) != operation.run([torch.zeros_like(numbers)])
    return [_of_rows(form, torch.where(is_inside, padded.round().long(), -1))]


def apply_cut(operation: Operation, forms: Sequence[PositionMap | None]) -> Sequence[Form] | None:
    """Apply the rule for pieces along one dimension; pieces along positions contain some of the rows."""
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
        with_windows(
            form,
            (
                *form.axes[:dim],
                *(() if is_dropped else (make_axis("channel", shape[dim]),)),
                *form.axes[dim + 1 :],
            ),
        )
        for shape in operation.shapes
    ]


def apply_cat(operation: Operation, forms: Sequence[PositionMap | None]) -> Sequence[Form] | None:
    """Apply the rule for tensors that are concatenated along channels or along positions."""
    shape = operation.shapes[0]
    if any(len(each) != len(shape) for each in operation.operand_shapes):
        return None  # PyTorch joins empty tensors of one dimension to any others
    dim = int(operation.argument("dim", 0)) % len(shape)
    maps = [form for form in forms if form is not None]
    if has([form.axes[dim] for form in maps], "position"):
        return _cat_of_rows(operation, forms, dim)
    if has([form.axes[dim] for form in maps], "batch"):
        return None
    beside = [replace(form, axes=(*form.axes[:dim], (), *form.axes[dim + 1 :])) for form in maps]
    joined = combine_at_same_place(beside, (*shape[:dim], 1, *shape[dim + 1 :]))
    return joined and [
        replace(form, axes=(*form.axes[:dim], make_axis("channel", shape[dim]), *form.axes[dim + 1 :]))
        for form in joined
        if isinstance(form, PositionMap)
    ]


def _windows(operation: Operation, form: PositionMap, steps: Sequence[tuple[int, int, int, int]]) -> list[Form] | None:
    """Return the form of a result whose rows each read a window along the last dimensions."""
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


def _cat_of_rows(operation: Operation, forms: Sequence[PositionMap | None], dim: int) -> Sequence[Form] | None:
    """Return the form of tensors that are concatenated along positions; constants have empty windows."""
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


def _of_rows(form: PositionMap, numbers: Tensor) -> Form:
    """Return the form of a tensor whose rows are rows of another tensor, by their indices; -1 is a constant row."""
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
    """Return whether row indices extend only along position axes, and these axes contain only positions."""
    return all(
        is_all_positions(axis) if has((axis,), "position") else size == 1
        for axis, size in zip(axes, numbers.shape, strict=True)
    )
