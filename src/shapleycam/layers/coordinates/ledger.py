"""Where the places of all tensors of a pass are kept: beside their storage, so that views need no rule of their own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef

from shapleycam.layers.coordinates.places import Places, compact, expanded, no_places

_SWEEP = 8
"""After how many written tensors those of freed storages are dropped."""


@dataclass
class _Entry:
    """Places of a storage: of its one tensor as a whole, `compact` where they do not vary along a dimension, until a
    view of another geometry is asked for; from then on one by one, as `flat` (axes + 1, elements).
    """

    storage: StorageWeakRef
    geometry: tuple[Any, ...] | None = None
    compact: Places | None = None
    flat: Tensor | None = None


class Ledger:
    """Places by storage: a view of a tensor sees the places of its base, and a write into a view writes into them."""

    def __init__(self, axes: int) -> None:
        self.axes = axes
        self._entries: dict[int, _Entry] = {}
        self._opened = 0

    def knows(self, tensor: Tensor) -> bool:
        """Return whether anything in the tensor's storage depends on the image."""
        entry = self._entries.get(key_of(tensor))
        return entry is not None and not entry.storage.expired()

    def get(self, tensor: Tensor) -> Places | None:
        """Return the places of a tensor, not to be written to; None if nothing in its storage depends on the image."""
        entry = self._entries.get(key_of(tensor))
        if entry is None or entry.storage.expired():
            return None
        if entry.compact is not None and entry.geometry == _geometry(tensor):
            return entry.compact.expand(-1, *tensor.shape)
        flat = self._flat(entry)
        if flat.shape[1] != _elements(tensor):
            return no_places(tensor.shape, self.axes, tensor.device, lost=True)  # seen as another dtype
        return _view(flat, tensor)

    def put(self, tensor: Tensor, places: Places | None) -> None:
        """Set the places of a tensor; None for a constant."""
        entry = self._entries.get(key_of(tensor))
        if entry is None or entry.storage.expired():
            if places is None or not key_of(tensor):
                return
            entry = self._open(tensor)
        whole = tensor.numel() == _elements(tensor)
        if places is not None and whole:
            entry.geometry, entry.compact, entry.flat = _geometry(tensor), compact(places), None
            return
        flat = entry.flat = self._flat(entry, tensor).clone()  # others may hold views of what it was
        view = _view(flat, tensor)
        view.copy_(torch.full_like(view, torch.nan) if places is None else expanded(places, tensor.shape))

    def _open(self, tensor: Tensor) -> _Entry:
        self._opened += 1
        if self._opened % _SWEEP == 0:
            self._entries = {key: entry for key, entry in self._entries.items() if not entry.storage.expired()}
        entry = self._entries[key_of(tensor)] = _Entry(StorageWeakRef(tensor.untyped_storage()))
        return entry

    def _flat(self, entry: _Entry, tensor: Tensor | None = None) -> Tensor:
        """The places of each element of a storage; `tensor` is one in it, where it has none yet."""
        if entry.flat is None and entry.compact is not None and entry.geometry is not None:
            size, stride, offset, elements = entry.geometry
            entry.flat = no_places((elements,), self.axes, entry.compact.device).contiguous()
            whole = entry.flat.as_strided((len(entry.flat), *size), (elements, *stride), offset)
            whole.copy_(entry.compact.expand(-1, *size))
            entry.compact = None
        elif tensor is not None and (entry.flat is None or entry.flat.shape[1] != _elements(tensor)):
            entry.flat, entry.compact = no_places((_elements(tensor),), self.axes, tensor.device).contiguous(), None
        if entry.flat is None:
            raise RuntimeError("a storage without places")
        return entry.flat


def key_of(tensor: Tensor) -> int:
    """Return what tells a tensor's storage from all others; the ledger's weak reference keeps it from being reused.

    0 is for a tensor without a storage of numbers (a sparse one), of which no places are kept.
    """
    try:
        return int(tensor.untyped_storage()._cdata)  # noqa: SLF001
    except (RuntimeError, NotImplementedError):
        return 0


def _geometry(tensor: Tensor) -> tuple[Any, ...]:
    return tuple(tensor.shape), tensor.stride(), tensor.storage_offset(), _elements(tensor)


def _elements(tensor: Tensor) -> int:
    return tensor.untyped_storage().nbytes() // max(1, tensor.element_size())


def _view(flat: Tensor, tensor: Tensor) -> Places:
    size, stride = (len(flat), *tensor.shape), (flat.stride(0), *tensor.stride())
    return flat.as_strided(size, stride, tensor.storage_offset())
