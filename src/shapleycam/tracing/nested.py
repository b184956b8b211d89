"""Nested values that modules return: tensors, and tuples, lists, dicts and other objects that contain tensors."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from dataclasses import fields, is_dataclass
from typing import Any

import torch
from torch import nn
from torch._C._functorch import is_functorch_wrapped_tensor

_PLAIN = (str, int, float, bool, type(None), torch.Size, torch.dtype, torch.device)
_MAX_OBJECT_DEPTH = 4
"""How deep nested objects are searched. There must be a limit, because objects may refer to each other in cycles."""


def tensors_of(value: Any, *, objects: int = _MAX_OBJECT_DEPTH) -> list[torch.Tensor]:
    """Return all tensors in a nested value, in a fixed order.

    Dataclasses and other objects are searched too, up to `objects` levels deep.
    """
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, dict):
        return [tensor for entry in value.values() for tensor in tensors_of(entry, objects=objects)]
    if isinstance(value, (list, tuple)):
        return [tensor for entry in value for tensor in tensors_of(entry, objects=objects)]
    if not objects or isinstance(value, (*_PLAIN, type, nn.Module)):
        return []
    return [tensor for entry in _field_values(value) for tensor in tensors_of(entry, objects=objects - 1)]


def float_tensors_of(value: Any) -> list[torch.Tensor]:
    """Return the floating-point tensors in a nested value."""
    return [tensor for tensor in tensors_of(value) if tensor.is_floating_point()]


def is_empty(value: Any) -> bool:
    """Return whether a nested value has tensors and none of them has elements: a detector found nothing."""
    tensors = tensors_of(value)
    return bool(tensors) and not any(tensor.numel() for tensor in tensors)


def only_tensor(value: Any) -> torch.Tensor | None:
    """Return the tensor itself, or the only tensor in a tuple, list or dict (as transformers' layers return it)."""
    tensors = tensors_of(value, objects=0)
    return tensors[0] if len(tensors) == 1 else None


def is_in_transform(value: Any) -> bool:
    """Return whether a nested value has a tensor of a function transform that is running (vmap, grad, jvp).

    Such a tensor has no memory of its own, and cannot be used after the transform.
    """
    return any(is_functorch_wrapped_tensor(tensor) for tensor in tensors_of(value, objects=0))


def _field_values(value: Any) -> list[Any]:
    """Return the values of an object's fields."""
    if is_dataclass(value):
        return [getattr(value, field.name) for field in fields(value)]
    return list(getattr(value, "__dict__", {}).values())


def map_tensors(change: Callable[[torch.Tensor], torch.Tensor], value: Any) -> Any:
    """Return a nested value with `change` applied to each of its tensors, in the order of `tensors_of`."""
    if isinstance(value, torch.Tensor):
        return change(value)
    if isinstance(value, dict):
        changed = {key: map_tensors(change, entry) for key, entry in value.items()}
        if is_dataclass(value):
            return type(value)(**changed)
        copied = copy(value)  # keeps the attributes of a subclass of dict
        copied.update(changed)
        return copied
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(map_tensors(change, entry) for entry in value))
    if isinstance(value, (list, tuple)):
        return type(value)(map_tensors(change, entry) for entry in value)
    return value


def have_same_structure(first: Any, second: Any) -> bool:
    """Return whether two nested values differ at most in their tensors.

    False if they contain other values than tensors, tuples, lists, dicts and plain values such as numbers.
    """
    if isinstance(first, torch.Tensor):
        return isinstance(second, torch.Tensor)
    if type(first) is not type(second):
        return False
    if isinstance(first, _PLAIN):
        return bool(first == second)
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(have_same_structure(first[key], second[key]) for key in first)
    if isinstance(first, (list, tuple)):
        return len(first) == len(second) and all(map(have_same_structure, first, second))
    return False
