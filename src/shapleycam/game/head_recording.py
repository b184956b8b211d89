"""Record a head: its operations on the activation, with all constant operands.

Autograd's graph has the operations, but not the values and shapes of most constants. A recording below autograd has
them. Two recordings show whether a head does the same on a single position as on the map: a threshold, bias or factor
that is computed from the map's size or the number of rows then differs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_leaves

from shapleycam.game.dataflow import Dataflow, operation_name
from shapleycam.game.hidden_reads import HiddenReads
from shapleycam.tracing.attention import math_attention
from shapleycam.tracing.batchnorm import is_eval_batch_norm
from shapleycam.tracing.graph import nodes
from shapleycam.tracing.interrupts import restore_when_interrupted
from shapleycam.tracing.torch_internals import storage_address

_MEMORY_LAYOUT_OPERATIONS = {
    *("clone", "contiguous", "_unsafe_view", "_reshape_alias", "_to_copy", "detach", "alias"),
    *("as_strided_", "squeeze_", "unsqueeze_", "transpose_", "t_", "swapaxes_", "swapdims_"),
}
"""Operations that, like views, change only the memory layout; their arguments depend on the size of the map."""
_BIAS_OPERAND = {"addmm": 0, "linear": 2}
"""The index of the bias among the operands of a matrix product."""
_MAX_POOLS = {"max_pool2d_with_indices", "max_pool3d_with_indices"}
"""Operations whose indices are for their own derivative; an operation that uses the indices is a hidden read."""
_BATCH_NORM_READ = "addcmul"
"""The operation with which this package's own batch norm function reads its input."""
_DEPENDENT = object()
"""A placeholder for an operand that was computed from the activation."""


@dataclass(frozen=True)
class RecordedOperation:
    """An operation with an operand that was computed from the activation, and its constant operands."""

    name: str
    operands: tuple[Any, ...]


@dataclass(frozen=True)
class HeadRecording:
    """The recording of one run of a head.

    Attributes:
        output: the head's output.
        leaf: the leaf of its autograd graph: the activation.
        operations: the operations in their order, without those that only change the memory layout.
        hides_reads: whether the head read the activation in a way that neither autograd nor the data flow follows: a
            detached tensor, integers (comparisons, indices, conditions in Python), or numbers that are rounded to fewer
            digits, after which the head is no sum.
        reads_without_grad: the names of operations that read it under no_grad, as the forward pass of a custom autograd
            function does. The data flow has them, but autograd's graph does not.
        dataflow: all calls, including those that only change the memory layout.
    """

    output: Any
    leaf: Tensor
    operations: tuple[RecordedOperation, ...]
    hides_reads: bool
    reads_without_grad: tuple[str, ...]
    dataflow: Dataflow

    @property
    def is_followed(self) -> bool:
        """Return whether autograd's graph has all reads: only this package's batch norms read without gradients."""
        norms = sum(is_eval_batch_norm(node) for node in nodes(self.output))
        return self.reads_without_grad == (_BATCH_NORM_READ,) * norms

    @property
    def has_bias_of_rows(self) -> bool:
        """Return whether a matrix product adds a bias that may differ between rows."""
        for operation in self.operations:
            index = _BIAS_OPERAND.get(operation.name)
            if index is not None and len(operation.operands) > index:
                bias = operation.operands[index]
                if isinstance(bias, Tensor) and bias.dim() > 1 and bias.shape[:-1].numel() > 1:
                    return True
        return False

    def count(self, name: str) -> int:
        """Return the number of operations of this name on the activation."""
        return sum(operation.name == name for operation in self.operations)

    def repeats(self, recording: HeadRecording) -> bool:
        """Return whether another recording, with another number of rows or positions, has the same operations."""
        return all(
            first is not None
            and second is not None
            and first.name == second.name
            and _are_same(first.operands, second.operands, len(self.leaf), len(recording.leaf))
            for first, second in zip_longest(self.operations, recording.operations)
        )


@restore_when_interrupted
def record_head(head: Callable[[Tensor], Any], activation: Tensor) -> HeadRecording:
    """Run a head on a copy of an activation, and return the recording."""
    with torch.inference_mode(mode=False), torch.enable_grad():
        leaf = activation.clone().detach().requires_grad_()
        with _OperationRecorder(leaf) as recorder, HiddenReads(recorder.depends) as hidden:
            output = head(leaf)
        return HeadRecording(
            output,
            leaf,
            tuple(recorder.operations),
            recorder.hides_reads or hidden.are_seen,
            tuple(recorder.reads_without_grad),
            recorder.dataflow,
        )


def record_with_removal(head: Callable[[Tensor], Any], activation: Tensor, empty: Tensor) -> HeadRecording:
    """Record a head on a batch of two: the activation (1, ...) of an image, and the activation of its empty coalition.

    Attention is recorded as matrix products and a softmax.
    """
    with math_attention():
        return record_head(head, torch.cat([activation, empty]))


class _OperationRecorder(TorchDispatchMode):
    """Records every operation with an operand that was computed from a leaf, whether autograd follows it or not."""

    def __init__(self, leaf: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.operations: list[RecordedOperation] = []
        self.reads_without_grad: list[str] = []
        self.hides_reads, self._bits = False, torch.finfo(leaf.dtype).bits
        # Views and detached tensors share the storage of their original, so that a tensor depends on the leaf if its
        # storage is here. The storages are kept alive: an independent tensor could get the address of a freed one.
        self._dependent = {storage_address(leaf): leaf.untyped_storage()}
        self.dataflow = Dataflow(leaf)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        leaves, structure = tree_flatten((args, kwargs or {}))
        depends = [self.depends(leaf) for leaf in leaves]
        operands = tuple(_DEPENDENT if depending else leaf for leaf, depending in zip(leaves, depends, strict=True))
        self.dataflow.keep_before(func, (args, kwargs or {}))
        value = func(*args, **(kwargs or {}))
        self.dataflow.note(func, (args, kwargs or {}), leaves, structure, depends, value)
        if any(depends):
            name = operation_name(func)
            results = [tensor for tensor in tree_leaves(value) if isinstance(tensor, Tensor)]
            self._dependent |= {storage_address(tensor): tensor.untyped_storage() for tensor in results}
            of_activation = [leaf for leaf, depending in zip(leaves, depends, strict=True) if depending]
            # Integers that were computed from the activation are used as conditions or indices.
            self.hides_reads |= not results or not all(tensor.is_floating_point() for tensor in of_activation)
            read = results[: name in _MAX_POOLS or None]
            self.hides_reads |= not all(tensor.is_floating_point() for tensor in read)
            self.hides_reads |= any(torch.finfo(t.dtype).bits < self._bits for t in read if t.is_floating_point())
            self.reads_without_grad += [] if torch.is_grad_enabled() else [name]
            if not getattr(func, "is_view", False) and name not in _MEMORY_LAYOUT_OPERATIONS:
                self.operations.append(RecordedOperation(name, operands))
        return value

    def depends(self, operand: Any) -> bool:
        """Return whether an operand was computed from the leaf."""
        return isinstance(operand, Tensor) and storage_address(operand) in self._dependent


def _are_same(operands: tuple[Any, ...], others: tuple[Any, ...], rows: int, other_rows: int) -> bool:
    return len(operands) == len(others) and all(
        _is_equal(operand, other, rows, other_rows) for operand, other in zip(operands, others, strict=True)
    )


def _is_equal(first: Any, second: Any, rows: int, other_rows: int) -> bool:
    if isinstance(first, Tensor) and isinstance(second, Tensor):
        if first.shape != second.shape:  # a constant that is repeated for each row of the batch: compare single rows
            first, second = _first_of_equal_rows(first), _first_of_equal_rows(second)
        if first.dim() == second.dim():  # or one that is repeated along another dimension
            for dim in range(first.dim()):
                if first.shape[dim] != second.shape[dim]:
                    first, second = (
                        _first_of_equal_parts(constant, dim, count)
                        for constant, count in ((first, rows), (second, other_rows))
                    )
        if first.shape != second.shape or first.dtype != second.dtype:
            return False
        is_same_memory = first.data_ptr() == second.data_ptr() and first.stride() == second.stride()
        return is_same_memory or bool(torch.equal(first, second))
    return type(first) is type(second) and bool(first == second)


def _first_of_equal_rows(constant: Tensor) -> Tensor:
    if constant.dim() > 1 and bool((constant == constant[:1]).all()):
        return constant[:1]
    return constant


def _first_of_equal_parts(constant: Tensor, dim: int, count: int) -> Tensor:
    if constant.shape[dim] % count == 0:
        parts = constant.unflatten(dim, (count, -1)).movedim(dim, 0)
        first: Tensor = parts[0]
        if bool((parts == first).all()):
            return first
    return constant
