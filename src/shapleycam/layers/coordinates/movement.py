"""Rules for operations that only move elements: the same operation is applied to the coordinates.

(Views need no rule, because coordinates are stored for the storage.)
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from shapleycam.layers.coordinates.operation import Operation
from shapleycam.layers.coordinates.representation import Coordinates, broadcast
from shapleycam.tracing.torch_internals import schema_of

INDICES = ("index", "indices", "mask", "repeats")
"""Arguments that determine where elements are moved."""
_FILLERS = {"constant_pad_nd": "value", "scatter": "value", "index_fill": "value"}

MOVES = {
    *("cat", "stack", "hstack", "vstack", "roll", "flip", "repeat", "pixel_shuffle", "pixel_unshuffle"),
    *(
        "channel_shuffle",
        "native_channel_shuffle",
        "index",
        "index_select",
        "gather",
        "take",
        "constant_pad_nd",
    ),
    *("reflection_pad1d", "reflection_pad2d", "reflection_pad3d", "replication_pad1d", "replication_pad2d"),
    *("replication_pad3d", "index_put", "_unsafe_index", "_unsafe_index_put", "scatter", "index_copy", "index_fill"),
    *("unsafe_split", "unsafe_split_with_sizes", "split_copy", "split_with_sizes_copy", "select_scatter"),
    *("slice_scatter", "diagonal_copy", "view_copy", "permute_copy", "expand_copy", "as_strided_copy", "unfold_copy"),
    *("masked_select", "repeat_interleave", "rot90", "unbind_copy", "transpose_copy", "slice_copy"),
}

COPIES = ("clone", "_to_copy", "copy", "contiguous", "lift_fresh_copy", "alias_copy", "to_dtype")


def move_rule(operation: Operation) -> list[Coordinates] | Coordinates:
    """Return the coordinates of moved elements; they are lost if the image's content determines the movement."""
    if depends_on_content(operation):
        return operation.lost()
    function = _out_of_place(operation)
    rows = []
    for row in range(operation.store.axes + 1):
        arguments = {name: _coordinate_row(value, row, operation) for name, value in operation.arguments.items()}
        filler = _FILLERS.get(operation.name)
        if filler in arguments and not isinstance(arguments[filler], Tensor):
            arguments[filler] = math.nan
        rows.append(function(**arguments))
    if isinstance(rows[0], Tensor):
        return torch.stack(rows)
    return [torch.stack(parts) for parts in zip(*rows, strict=True)]


def depends_on_content(operation: Operation) -> bool:
    """Return whether the image's content decides where an operation puts elements, or how many it has."""
    return any(_depends_on_image(operation, name) for name in INDICES)


def copy_rule(operation: Operation) -> Coordinates | None:
    """Return the coordinates of a copy, also in another dtype or on another device."""
    source = operation.coordinates("src" if "src" in operation.arguments else operation.first_argument)
    return None if source is None else broadcast(source, operation.results[0].shape).to(operation.results[0].device)


def unfold_rule(operation: Operation) -> Coordinates | None:
    """Return the coordinates of the patches that unfold (im2col) extracts; padding counts as a constant."""
    coordinates = operation.coordinates("self")
    if coordinates is None:
        return None
    arguments = {name: value for name, value in operation.arguments.items() if name != "self"}
    inside = operation.function(self=torch.ones_like(coordinates[0]), **arguments) > 0
    rows = [torch.where(inside, operation.function(self=row, **arguments), torch.nan) for row in coordinates]
    return torch.stack(rows)


def fold_rule(operation: Operation) -> Coordinates | None:
    """Return the coordinates of the result of fold (col2im): the mean where patches overlap."""
    coordinates = operation.coordinates("self")
    if coordinates is None:
        return None
    has_centre = ~coordinates[0].isnan()
    arguments = {name: value for name, value in operation.arguments.items() if name != "self"}
    number = operation.function(self=has_centre.float(), **arguments)
    rows = [operation.function(self=torch.where(has_centre, row, 0), **arguments) / number for row in coordinates]
    return torch.stack(rows)


def _depends_on_image(operation: Operation, argument: str) -> bool:
    value = operation.arguments.get(argument)
    tensors = value if isinstance(value, (list, tuple)) else [value]
    return any(isinstance(tensor, Tensor) and operation.store.knows(tensor) for tensor in tensors)


def _coordinate_row(value: Any, row: int, operation: Operation) -> Any:
    """Return an argument with one row of coordinates in place of each operand; indices are not changed."""
    if isinstance(value, (list, tuple)):
        return [_coordinate_row(part, row, operation) for part in value]
    if not isinstance(value, Tensor):
        return value
    if not operation.store.knows(value) and not value.is_floating_point():
        return value
    return operation.coordinates_or_constant(value)[row]


def _out_of_place(operation: Operation) -> Any:
    function = operation.function
    if not schema_of(function).name.endswith("_"):
        return function
    return getattr(getattr(torch.ops.aten, operation.name), function._overloadname)  # noqa: SLF001  # no public name
