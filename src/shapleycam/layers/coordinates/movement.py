"""Operations that move elements and change none: the same operation is applied to their places.

(Views need no rule: their places are those of the storage.)
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from shapleycam.layers.coordinates.arguments import Operation
from shapleycam.layers.coordinates.places import Places, expanded

_CHOICES = ("index", "indices", "mask", "repeats")
"""Arguments that say where elements go."""
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


def moved(operation: Operation) -> list[Places] | Places:
    """Return the places of elements that were moved; lost where the image's content decides where they go."""
    if any(_depends_on_image(operation, name) for name in _CHOICES):
        return operation.lost()
    function = _out_of_place(operation)
    layers = []
    for layer in range(operation.ledger.axes + 1):
        arguments = {name: _layer(value, layer, operation) for name, value in operation.arguments.items()}
        filler = _FILLERS.get(operation.name)
        if filler in arguments and not isinstance(arguments[filler], Tensor):
            arguments[filler] = math.nan
        layers.append(function(**arguments))
    if isinstance(layers[0], Tensor):
        return torch.stack(layers)
    return [torch.stack(parts) for parts in zip(*layers, strict=True)]


def copied(operation: Operation) -> Places | None:
    """Return the places of what is copied, or converted to another dtype or device."""
    source = operation.places("src" if "src" in operation.arguments else operation.first)
    return None if source is None else expanded(source, operation.results[0].shape).to(operation.results[0].device)


def unfolded(operation: Operation) -> Places | None:
    """Return the places of patches cut out one by one; their padding has none."""
    places = operation.places("self")
    if places is None:
        return None
    arguments = {name: value for name, value in operation.arguments.items() if name != "self"}
    inside = operation.function(self=torch.ones_like(places[0]), **arguments) > 0
    layers = [torch.where(inside, operation.function(self=layer, **arguments), torch.nan) for layer in places]
    return torch.stack(layers)


def folded(operation: Operation) -> Places | None:
    """Return the places of patches that were laid over each other: the mean of those that overlap."""
    places = operation.places("self")
    if places is None:
        return None
    known = ~places[0].isnan()
    arguments = {name: value for name, value in operation.arguments.items() if name != "self"}
    number = operation.function(self=known.float(), **arguments)
    layers = [operation.function(self=torch.where(known, layer, 0), **arguments) / number for layer in places]
    return torch.stack(layers)


def _depends_on_image(operation: Operation, argument: str) -> bool:
    value = operation.arguments.get(argument)
    tensors = value if isinstance(value, (list, tuple)) else [value]
    return any(isinstance(tensor, Tensor) and operation.ledger.knows(tensor) for tensor in tensors)


def _layer(value: Any, layer: int, operation: Operation) -> Any:
    """One layer of an operand's places in the operand's place; indices as they are."""
    if isinstance(value, (list, tuple)):
        return [_layer(part, layer, operation) for part in value]
    if not isinstance(value, Tensor):
        return value
    if not operation.ledger.knows(value) and not value.is_floating_point():
        return value
    return operation.places_or_none(value)[layer]


def _out_of_place(operation: Operation) -> Any:
    function = operation.function
    if not function._schema.name.endswith("_"):  # noqa: SLF001
        return function
    return getattr(getattr(torch.ops.aten, operation.name), function._overloadname)  # noqa: SLF001
