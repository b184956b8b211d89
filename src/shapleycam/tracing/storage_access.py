"""Observe, operation by operation, which tensors are read and written."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from shapleycam.tracing.nested import is_in_transform
from shapleycam.tracing.torch_internals import schema_of


class StorageAccessMonitor(TorchDispatchMode):
    """Context that records which of the watched tensors are read, and whether a protected tensor is written.

    Tensors are identified by their storage, so reading a view counts as reading its base. An operation that only makes
    a view does not read.

    Attributes:
        notes_reads: whether reads are recorded now.
        read: the owners of the watched tensors that were read.
        written: the shape of the first of the `protected` tensors that an operation wrote into; None if there is none.
    """

    def __init__(self, protected: Iterable[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.notes_reads = True
        self.read: set[Hashable] = set()
        self.written: tuple[int, ...] | None = None
        self._owners: dict[int, set[Hashable]] = defaultdict(set)
        self._protected = {t.untyped_storage().data_ptr() for t in protected if _has_storage(t)}

    def watch(self, owner: Hashable, tensors: Iterable[Tensor]) -> None:
        """Record reads of these tensors from now on, as `owner` in `read`; the caller must keep the tensors alive."""
        for tensor in tensors:
            if _has_storage(tensor):
                self._owners[tensor.untyped_storage().data_ptr()].add(owner)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the operation, and record what it reads and writes."""
        kwargs = kwargs or {}
        if self.notes_reads and not _is_view(func):
            for tensor in tree_leaves((args, kwargs)):
                if isinstance(tensor, Tensor) and _has_storage(tensor):
                    self.read |= self._owners.get(tensor.untyped_storage().data_ptr(), set())
        self._note_writes(func, args, kwargs)
        return func(*args, **kwargs)

    def _note_writes(self, func: Any, args: Any, kwargs: Any) -> None:
        if self.written is None:
            for tensor in filter(self._is_protected, written_tensors(func, args, kwargs)):
                self.written = tuple(tensor.shape)

    def _is_protected(self, tensor: Tensor) -> bool:
        return _has_storage(tensor) and tensor.untyped_storage().data_ptr() in self._protected


def written_tensors(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[Tensor]:
    """Return the tensors into which an operation writes, among its arguments.

    Examples:
        >>> import torch
        >>> from shapleycam.tracing.storage_access import written_tensors
        >>> written_tensors(torch.ops.aten.add_.Tensor, (torch.zeros(1), torch.ones(1)), {})
        [tensor([0.])]
    """
    schema = schema_of(func)
    operands = [
        args[place] if place < len(args) else kwargs.get(parameter.name)
        for place, parameter in enumerate(schema.arguments if schema.is_mutable else ())
        if parameter.alias_info is not None and parameter.alias_info.is_write
    ]
    return [leaf for leaf in tree_leaves(operands) if isinstance(leaf, Tensor)]


def _is_view(func: Any) -> bool:
    aliases = [value.alias_info for value in schema_of(func).returns]
    return any(alias is not None and not alias.is_write for alias in aliases)


def _has_storage(tensor: Tensor) -> bool:
    # What a tensor of a function transform wraps is seen by the operations below the transform.
    return not is_in_transform(tensor) and tensor.layout == torch.strided and not tensor.is_meta and tensor.numel() > 0
