"""Track, operation by operation, which tensors of a pass depend on the image without passing a layer.

The result does not depend on numbers: a branch that a gate closes for this image is open for the tracker. So what it
proves holds for every image of the same size (docs/decisions.md, "A layer that a rule finds is tried for ways around
it").
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from shapleycam.tracing.memory_views import has_storage
from shapleycam.tracing.storage_access import written_tensors
from shapleycam.tracing.torch_internals import schema_of, storage_address

_WITHOUT_CONTENT = {
    *("zeros_like", "ones_like", "empty_like", "full_like", "rand_like", "randn_like", "randint_like"),
    *("new_zeros", "new_ones", "new_empty", "new_full", "new_empty_strided"),
}
"""Operations that read the form of a tensor and not its numbers."""
_FROM_PYTHON = {"lift_fresh", "lift"}
"""Operations that make a tensor of Python's numbers."""


class _Origin(NamedTuple):
    """Where the numbers of a storage come from: of the image or not, and past which blocks (a bit for each)."""

    storage: StorageWeakRef  # as long as it exists, no other storage has this one's address
    is_of_image: bool
    past: int


class ImageFlow(TorchDispatchMode):
    """Context that tracks what depends on the image, and on it past which of some blocks.

    Attributes:
        reads_image: whether code has read numbers that depend on the image, so that it may run other operations for
            another image, or a tensor whose origin nobody saw.
        reads_further: whether code has read numbers of the model's further inputs.

    Args:
        image: the image.
        further: the model's further inputs.
        constants: the tensors that the model has before it runs.
        blocks: the number of blocks.

    Examples:
        >>> import torch
        >>> from shapleycam.layers.image_flow import ImageFlow
        >>> image = torch.ones(2)
        >>> with ImageFlow(image, [], [], blocks=1) as flow:
        ...     through = flow.passed(image * 2, 0)
        ...     beside = through + 0 * image
        >>> flow.goes_past(through, 0), flow.goes_past(beside, 0)
        (False, True)
    """

    def __init__(self, image: Tensor, further: Iterable[Tensor], constants: Iterable[Tensor], blocks: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.reads_image = self.reads_further = False
        self._origins: dict[int, _Origin] = {}
        self._further = list(further)
        self._of_further: set[int] = {storage_address(tensor) for tensor in self._further if has_storage(tensor)}
        for tensor in (*constants, *self._further):
            self._put(tensor, is_of_image=False, past=0)
        self._put(image, is_of_image=True, past=(1 << blocks) - 1)

    def depends(self, operand: Any) -> bool:
        """Return whether an operand depends on the image, through a block or past it."""
        return (
            has_storage(operand)
            and storage_address(operand) in self._origins
            and self._origins[storage_address(operand)].is_of_image
        )

    def goes_past(self, tensor: Tensor, block: int) -> bool:
        """Return whether a tensor depends on the image without passing a block, or its origin is not known."""
        origin = self._origins.get(storage_address(tensor)) if has_storage(tensor) else None
        return origin is None or bool(origin.past >> block & 1)

    def passed(self, tensor: Tensor, block: int) -> Tensor:
        """Return a copy of a tensor that a block returned: it does not depend on the image past this block."""
        copied = tensor.clone()  # what has the block's result by another way than its return value keeps its origin
        origin = self._origins[storage_address(copied)]
        self._put(copied, is_of_image=origin.is_of_image, past=origin.past & ~(1 << block))
        return copied

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation, and note the origin of its results."""
        kwargs = kwargs or {}
        operands = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        written = written_tensors(func, args, kwargs)
        value = func(*args, **kwargs)
        name = schema_of(func).name.split("::")[-1]
        if name in _WITHOUT_CONTENT:
            operands = []
        elif name not in _FROM_PYTHON and any(self._origin(operand) is None for operand in operands):
            self.reads_image = True
        origins = [origin for operand in operands if (origin := self._origin(operand))]
        is_of_image, past = any(origin.is_of_image for origin in origins), 0
        for origin in origins:
            past |= origin.past
        self._note_reads(func, operands)
        results = [leaf for leaf in tree_leaves(value) if isinstance(leaf, Tensor)]
        self.reads_image |= is_of_image and not all(map(has_storage, results))
        if any(storage_address(operand) in self._of_further for operand in operands if has_storage(operand)):
            self._of_further |= {storage_address(result) for result in results if has_storage(result)}
        for tensor in (*results, *written):
            self._put(tensor, is_of_image=is_of_image, past=past)
        return value

    def _note_reads(self, func: Any, operands: list[Tensor]) -> None:
        """Record whether numbers of these operands become Python's, or decide how many numbers the result has."""
        if torch.Tag.dynamic_output_shape in func.tags:  # integers and masks decide, if there are some beside floats
            operands = [operand for operand in operands if not operand.is_floating_point()] or operands
        elif torch.Tag.data_dependent_output not in func.tags:
            return
        self.reads_image |= any(map(self.depends, operands))
        self.reads_further |= any(
            storage_address(operand) in self._of_further for operand in operands if has_storage(operand)
        )

    def _origin(self, tensor: Tensor) -> _Origin | None:
        return self._origins.get(storage_address(tensor)) if has_storage(tensor) else None

    def _put(self, tensor: Tensor, *, is_of_image: bool, past: int) -> None:
        if has_storage(tensor):
            storage = StorageWeakRef(tensor.untyped_storage())
            self._origins[storage.cdata] = _Origin(storage, is_of_image, past)
