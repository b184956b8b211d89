"""The memory that a result takes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

_OTHER = 100
"""Bytes that are counted for each container, and for each object whose contents are not examined."""


def size_in_bytes(value: Any) -> int:
    """Return the bytes of the tensors, arrays, pictures and texts in a value; each is counted once.

    The contents of containers and dataclasses are counted; all other objects count little, whatever they contain.

    Examples:
        >>> import torch
        >>> from shapleycam.web.size_in_bytes import size_in_bytes
        >>> values = torch.zeros(1000)
        >>> size_in_bytes([values, values[:10]]) - size_in_bytes([])
        4000
    """
    return _size(value, set())


def _size(value: Any, seen: set[int]) -> int:
    storage = value.untyped_storage() if isinstance(value, Tensor) else value
    identity = storage.data_ptr() if isinstance(value, Tensor) else id(value)
    if identity in seen:
        return 0
    seen.add(identity)
    if isinstance(value, Tensor):
        return int(storage.nbytes())
    if isinstance(value, np.ndarray):
        return int(value.nbytes)
    if isinstance(value, Image.Image):
        return value.width * value.height * len(value.getbands())
    if isinstance(value, bytes | bytearray | str):
        return len(value)
    return _OTHER + sum(_size(each, seen) for each in _parts(value))


def _parts(value: Any) -> Iterable[Any]:
    if is_dataclass(value) and not isinstance(value, type):
        return [getattr(value, field.name) for field in fields(value)]
    if isinstance(value, Mapping):
        return [*value.keys(), *value.values()]
    return value if isinstance(value, tuple | list | set | frozenset) else ()
