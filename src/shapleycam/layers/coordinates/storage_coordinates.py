"""Store the coordinates of all tensors in a pass by storage, so that views need no rules."""

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
from shapleycam.tracing.torch_internals import storage_address

_SWEEP_INTERVAL = 8
"""After how many new storages the entries of freed storages are deleted."""


@dataclass
class _Entry:
    """The coordinates of one storage.

    While all tensors with this storage have the same `geometry` (size, strides, offset, number of elements), they are
    stored as `collapsed`. When a view with another geometry appears, they become `flat` (axes + 1, elements).
    """

    storage: StorageWeakRef
    geometry: tuple[Any, ...] | None = None
    collapsed: Coordinates | None = None
    flat: Tensor | None = None


class StorageCoordinates:
    """Coordinates by storage: a view and its base share them, and a write into one changes them for the other.

    `axes` is the number of axes of the image that are tracked.
    """

    def __init__(self, axes: int) -> None:
        self.axes = axes
        self._entries: dict[int, _Entry] = {}
        self._added = 0

    def knows(self, tensor: Tensor) -> bool:
        """Return whether the tensor's storage has coordinates: it may depend on the image."""
        entry = self._entries.get(storage_key(tensor))
        return entry is not None and not entry.storage.expired()

    def get(self, tensor: Tensor) -> Coordinates | None:
        """Return a tensor's coordinates (do not write into them); None if its storage does not depend on the image."""
        entry = self._entries.get(storage_key(tensor))
        if entry is None or entry.storage.expired():
            return None
        if entry.collapsed is not None and entry.geometry == _geometry(tensor):
            return entry.collapsed.expand(-1, *tensor.shape)
        flat = self._flatten(entry)
        if flat.shape[1] != _elements(tensor):  # a view with another dtype
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
        flat = entry.flat = self._flatten(entry, tensor).clone()  # a copy: callers may have views of the old one
        view = _view_as(flat, tensor)
        view.copy_(torch.full_like(view, torch.nan) if coordinates is None else broadcast(coordinates, tensor.shape))

    def _add(self, tensor: Tensor) -> _Entry:
        self._added += 1
        if self._added % _SWEEP_INTERVAL == 0:
            self._entries = {key: entry for key, entry in self._entries.items() if not entry.storage.expired()}
        entry = self._entries[storage_key(tensor)] = _Entry(StorageWeakRef(tensor.untyped_storage()))
        return entry

    def _flatten(self, entry: _Entry, tensor: Tensor | None = None) -> Tensor:
        """Return the coordinates of each element of a storage; `tensor` gives its size if it has no coordinates yet."""
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
    """Return a unique key of a tensor's storage; it is not reused while an entry has a weak reference to the storage.

    It is 0 for a tensor without a storage (a sparse tensor), which gets no coordinates.
    """
    try:
        return storage_address(tensor)
    except (RuntimeError, NotImplementedError):
        return 0


def _geometry(tensor: Tensor) -> tuple[Any, ...]:
    return tuple(tensor.shape), tensor.stride(), tensor.storage_offset(), _elements(tensor)


def _elements(tensor: Tensor) -> int:
    return tensor.untyped_storage().nbytes() // max(1, tensor.element_size())


def _view_as(flat: Tensor, tensor: Tensor) -> Coordinates:
    """Return the coordinates of a tensor as a view of its storage's coordinates."""
    size, stride = (len(flat), *tensor.shape), (flat.stride(0), *tensor.stride())
    return flat.as_strided(size, stride, tensor.storage_offset())
