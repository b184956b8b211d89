"""What modules return: tensors, and tuples, lists, dicts and other objects that hold them."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from dataclasses import fields, is_dataclass
from typing import Any

import torch
from torch import nn

_PLAIN = (str, int, float, bool, type(None), torch.Size, torch.dtype, torch.device)


_DEEPEST = 4
"""So many objects inside each other are looked into: they may refer to each other in circles."""


def tensors_of(value: Any, *, objects: int = _DEEPEST) -> list[torch.Tensor]:
    """All tensors in a nested value, in a fixed order; also those that dataclasses and other `objects` hold."""
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, dict):
        return [tensor for part in value.values() for tensor in tensors_of(part, objects=objects)]
    if isinstance(value, (list, tuple)):
        return [tensor for part in value for tensor in tensors_of(part, objects=objects)]
    if not objects or isinstance(value, (*_PLAIN, type, nn.Module)):
        return []
    return [tensor for part in _held_by(value) for tensor in tensors_of(part, objects=objects - 1)]


def float_tensors_of(value: Any) -> list[torch.Tensor]:
    """The floating-point tensors in a nested value."""
    return [tensor for tensor in tensors_of(value) if tensor.is_floating_point()]


def is_empty(value: Any) -> bool:
    """Whether a nested value has tensors and none of them holds a number, as where a detector finds nothing."""
    tensors = tensors_of(value)
    return bool(tensors) and not any(tensor.numel() for tensor in tensors)


def only_tensor(value: Any) -> torch.Tensor | None:
    """The tensor itself, or the only one in a tuple, list or dict, as transformers' layers return it."""
    found = tensors_of(value, objects=0)
    return found[0] if len(found) == 1 else None


def _held_by(value: Any) -> list[Any]:
    """What an object holds in its fields."""
    if is_dataclass(value):
        return [getattr(value, field.name) for field in fields(value)]
    return list(getattr(value, "__dict__", {}).values())


def version_of(tensor: torch.Tensor) -> int:
    """How often a tensor was written in place: autograd's own counter, shared by its views."""
    return tensor._version  # noqa: SLF001


def map_tensors(change: Callable[[torch.Tensor], torch.Tensor], value: Any) -> Any:
    """The same nested value with `change` applied to its tensors, in the order of `tensors_of`."""
    if isinstance(value, torch.Tensor):
        return change(value)
    if isinstance(value, dict):
        changed = {key: map_tensors(change, part) for key, part in value.items()}
        if is_dataclass(value):
            return type(value)(**changed)
        same = copy(value)  # with what a kind of dict holds beside its entries
        same.update(changed)
        return same
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(map_tensors(change, part) for part in value))
    if isinstance(value, (list, tuple)):
        return type(value)(map_tensors(change, part) for part in value)
    return value


def alike(one: Any, other: Any) -> bool:
    """Whether two values have the same parts, the tensors apart, and nothing in them is an object of another kind."""
    if isinstance(one, torch.Tensor):
        return isinstance(other, torch.Tensor)
    if type(one) is not type(other):
        return False
    if isinstance(one, _PLAIN):
        return bool(one == other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(alike(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(alike, one, other))
    return False
