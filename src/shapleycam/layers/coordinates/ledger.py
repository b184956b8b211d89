"""Where the places of all tensors of a pass are kept: beside their storage, so that views need no rule of their own."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef

from shapleycam.layers.coordinates.places import Places, expanded, no_places

_SWEEP = 8
"""After how many written tensors those of freed storages are dropped."""


@dataclass(frozen=True)
class _Entry:
    storage: StorageWeakRef
    places: Tensor  # (axes + 1, elements of the storage)


class Ledger:
    """Places by storage: a view of a tensor sees the places of its base, and a write into a view writes into them."""

    def __init__(self, axes: int) -> None:
        self.axes = axes
        self._entries: dict[int, _Entry] = {}
        self._written = 0

    def get(self, tensor: Tensor) -> Places | None:
        """Return the places of a tensor; None if nothing in its storage depends on the image."""
        entry = self._entries.get(_key(tensor))
        if entry is None or entry.storage.expired():
            return None
        if entry.places.shape[1] * tensor.element_size() != tensor.untyped_storage().nbytes():
            return no_places(tensor.shape, self.axes, tensor.device, lost=True)  # seen as another dtype
        return self._view(entry, tensor)

    def put(self, tensor: Tensor, places: Places | None) -> None:
        """Set the places of a tensor; None for a constant."""
        known = self._entries.get(_key(tensor))
        if known is None or known.storage.expired():
            if places is None:
                return
            known = self._opened(tensor)
        elements = tensor.untyped_storage().nbytes() // max(1, tensor.element_size())
        if known.places.shape[1] != elements:
            known = self._opened(tensor)
        view = self._view(known, tensor)
        view.copy_(torch.full_like(view, torch.nan) if places is None else expanded(places, tensor.shape))

    def _opened(self, tensor: Tensor) -> _Entry:
        self._written += 1
        if self._written % _SWEEP == 0:
            self._entries = {key: entry for key, entry in self._entries.items() if not entry.storage.expired()}
        storage = tensor.untyped_storage()
        elements = storage.nbytes() // max(1, tensor.element_size())
        places = no_places((elements,), self.axes, tensor.device)
        entry = self._entries[_key(tensor)] = _Entry(StorageWeakRef(storage), places)
        return entry

    def _view(self, entry: _Entry, tensor: Tensor) -> Places:
        places = entry.places
        size, stride = (len(places), *tensor.shape), (places.stride(0), *tensor.stride())
        return places.as_strided(size, stride, tensor.storage_offset())


def _key(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)  # noqa: SLF001  # the weak reference keeps this number from being reused
