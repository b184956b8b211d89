"""The part of a storage that a tensor shows. The result of a call is recognised by its memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeGuard

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef

from shapleycam.tracing.torch_internals import version_of


@dataclass(frozen=True)
class StridedView:
    """The elements of a storage that a tensor shows: its size, strides and offset."""

    size: tuple[int, ...]
    stride: tuple[int, ...]
    offset: int

    @classmethod
    def of(cls, tensor: Tensor) -> StridedView:
        """Return a tensor's view of its storage."""
        return cls(tuple(tensor.shape), tensor.stride(), int(tensor.storage_offset()))

    @property
    def is_dense(self) -> bool:
        """Return whether the elements fill the memory without gaps, in some order of the dimensions."""
        expected = 1
        for stride, size in sorted(zip(self.stride, self.size, strict=True)):
            if size != 1 and stride != expected:
                return False
            expected *= size
        return expected > 0

    def apply(self, source: Tensor, target: StridedView) -> Tensor:
        """Put `source` in the place of this view in its storage, and return what `target` shows of that storage."""
        if target == self:
            return source
        order = sorted(range(len(self.size)), key=lambda dim: (-self.stride[dim], -self.size[dim]))
        dense = source.permute(order).contiguous()
        return dense.as_strided(target.size, target.stride, dense.storage_offset() + target.offset - self.offset)


@dataclass(frozen=True)
class MemoryRegion:
    """The memory of a tensor, and its version: how often it had been written to. It does not keep the memory alive."""

    storage: StorageWeakRef
    view: StridedView
    version: int

    @classmethod
    def of(cls, tensor: Tensor) -> MemoryRegion:
        """Return the region of a tensor."""
        return cls(StorageWeakRef(tensor.untyped_storage()), StridedView.of(tensor), version_of(tensor))

    def holds(self, tensor: Tensor) -> bool:
        """Return whether a tensor is a view of this memory, and the memory was not written to since."""
        same = not self.storage.expired() and self.storage.cdata == StorageWeakRef(tensor.untyped_storage()).cdata
        return same and version_of(tensor) == self.version


def has_storage(value: Any) -> TypeGuard[Tensor]:
    """Return whether a value is a tensor with a storage; sparse tensors and tensors inside torch.vmap have none."""
    try:
        return isinstance(value, torch.Tensor) and value.untyped_storage() is not None
    except (RuntimeError, NotImplementedError):
        return False
