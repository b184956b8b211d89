"""Keeps the coordinates of all tensors of a pass by their storage, so that views need no rule of their own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef

from shapleycam.layers.coordinates.representation import (
    Coordinates,
    broadcast,
    collapse,
    constant_coordinates,
    lost_coordinates,
)

_SWEEP_INTERVAL = 8
"""After how many new storages those that were freed are dropped."""


@dataclass
class _Entry:
    """The coordinates of one storage.

    As long as it is seen as one tensor, they are `collapsed` with that tensor's `geometry` (size, strides, offset,
    number of elements). From the first view of another geometry on they are `flat` (axes + 1, elements).
    """

    storage: StorageWeakRef
    geometry: tuple[Any, ...] | None = None
    collapsed: Coordinates | None = None
    flat: Tensor | None = None


class StorageCoordinates:
    """Coordinates by storage: a view sees those of its base, and a write into a view writes into the base's.

    `axes` is how many axes of the image are tracked.
    """

    def __init__(self, axes: int) -> None:
        self.axes = axes
        self._entries: dict[int, _Entry] = {}
        self._added = 0

    def knows(self, tensor: Tensor) -> bool:
        """Return whether anything in the tensor's storage depends on the image."""
        entry = self._entries.get(storage_key(tensor))
        return entry is not None and not entry.storage.expired()

    def get(self, tensor: Tensor) -> Coordinates | None:
        """Return a tensor's coordinates, not to be written into; None if its storage does not depend on the image."""
        entry = self._entries.get(storage_key(tensor))
        if entry is None or entry.storage.expired():
            return None
        if entry.collapsed is not None and entry.geometry == _geometry(tensor):
            return entry.collapsed.expand(-1, *tensor.shape)
        flat = self._flatten(entry)
        if flat.shape[1] != _elements(tensor):  # the storage is seen as another dtype
            return lost_coordinates(tensor.shape, self.axes, tensor.device)
        return _view_as(flat, tensor)

    def put(self, tensor: Tensor, coordinates: Coordinates | None) -> None:
        """Set the coordinates of a tensor; None for a constant."""
        entry = self._entries.get(storage_key(tensor))
        if entry is None or entry.storage.expired():
            if coordinates is None or not storage_key(tensor):
                return
            entry = self._add(tensor)
        is_whole_storage = tensor.numel() == _elements(tensor)
        if coordinates is not None and is_whole_storage:
            entry.geometry, entry.collapsed, entry.flat = _geometry(tensor), collapse(coordinates), None
            return
        flat = entry.flat = self._flatten(entry, tensor).clone()  # others may hold views of what it was
        view = _view_as(flat, tensor)
        view.copy_(torch.full_like(view, torch.nan) if coordinates is None else broadcast(coordinates, tensor.shape))

    def _add(self, tensor: Tensor) -> _Entry:
        self._added += 1
        if self._added % _SWEEP_INTERVAL == 0:
            self._entries = {key: entry for key, entry in self._entries.items() if not entry.storage.expired()}
        entry = self._entries[storage_key(tensor)] = _Entry(StorageWeakRef(tensor.untyped_storage()))
        return entry

    def _flatten(self, entry: _Entry, tensor: Tensor | None = None) -> Tensor:
        """Return the coordinates of each element of a storage; `tensor` is one in it, where it has none yet."""
        if entry.flat is None and entry.collapsed is not None and entry.geometry is not None:
            size, stride, offset, elements = entry.geometry
            entry.flat = constant_coordinates((elements,), self.axes, entry.collapsed.device).contiguous()
            view = entry.flat.as_strided((len(entry.flat), *size), (elements, *stride), offset)
            view.copy_(entry.collapsed.expand(-1, *size))
            entry.collapsed = None
        elif tensor is not None and (entry.flat is None or entry.flat.shape[1] != _elements(tensor)):
            elements = _elements(tensor)
            entry.flat = constant_coordinates((elements,), self.axes, tensor.device).contiguous()
            entry.collapsed = None
        if entry.flat is None:
            raise RuntimeError("a storage without coordinates")
        return entry.flat


def storage_key(tensor: Tensor) -> int:
    """Return what tells a tensor's storage from all others; the entry's weak reference keeps it from being reused.

    It is 0 for a tensor without a storage of numbers (a sparse one), of which no coordinates are kept.
    """
    try:
        return int(tensor.untyped_storage()._cdata)  # noqa: SLF001
    except (RuntimeError, NotImplementedError):
        return 0


def _geometry(tensor: Tensor) -> tuple[Any, ...]:
    return tuple(tensor.shape), tensor.stride(), tensor.storage_offset(), _elements(tensor)


def _elements(tensor: Tensor) -> int:
    return tensor.untyped_storage().nbytes() // max(1, tensor.element_size())


def _view_as(flat: Tensor, tensor: Tensor) -> Coordinates:
    """Return the coordinates of a tensor as a view of those of its storage."""
    size, stride = (len(flat), *tensor.shape), (flat.stride(0), *tensor.stride())
    return flat.as_strided(size, stride, tensor.storage_offset())
