"""What modules return: tensors, and tuples, lists and dicts of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch


def tensors_of(value: Any) -> list[torch.Tensor]:
    """All tensors in a nested value, in a fixed order."""
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, dict):
        return [tensor for part in value.values() for tensor in tensors_of(part)]
    if isinstance(value, (list, tuple)):
        return [tensor for part in value for tensor in tensors_of(part)]
    return []


def version_of(tensor: torch.Tensor) -> int:
    """How often a tensor was written in place: autograd's own counter, shared by its views."""
    return tensor._version  # noqa: SLF001


def map_tensors(change: Callable[[torch.Tensor], torch.Tensor], value: Any) -> Any:
    """The same nested value with `change` applied to its tensors, in the order of `tensors_of`."""
    if isinstance(value, torch.Tensor):
        return change(value)
    if isinstance(value, dict):
        changed = {key: map_tensors(change, part) for key, part in value.items()}
        return changed if type(value) is dict else type(value)(**changed)
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(map_tensors(change, part) for part in value))
    if isinstance(value, (list, tuple)):
        return type(value)(map_tensors(change, part) for part in value)
    return value
