"""The data flow of a head: the operation that computed each tensor, and its operands (tensors, constants and numbers).

Autograd's graph does not store all operands, such as those of a sum or a slice, so a part of the head cannot be run
again from it. Below autograd, every operation can be recorded with all its operands.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor
from torch.utils._pytree import TreeSpec, tree_leaves

from shapleycam.tracing.storage_access import written_tensors
from shapleycam.tracing.torch_internals import storage_address

LEAF = 0
"""The number of the activation among the tensors of a data flow."""
LOST = -1
"""The number of a tensor that is not in the data flow, such as one that was computed in a way that is not recorded."""
_ViewKey: TypeAlias = tuple[int, int, tuple[int, ...], tuple[int, ...], torch.dtype]


class Value(NamedTuple):
    """Takes the place of a tensor that was computed from the activation; holds its number."""

    number: int


@dataclass(frozen=True)
class Call:
    """A call of an operation on a tensor that was computed from the activation.

    Attributes:
        function: the operation.
        operands: the arguments as a flat list, with a `Value` for each tensor that was computed from the activation.
        structure: how the operands form positional and keyword arguments.
        results: the numbers of the tensors that it returned.
        occurrence: its index among all calls of this operation in the head, including those on constants.
    """

    function: Any
    operands: tuple[Any, ...]
    structure: TreeSpec
    results: tuple[int, ...]
    occurrence: int = 0

    @property
    def name(self) -> str:
        """Return the operation's name without its overload, as in "add"."""
        return operation_name(self.function)

    @property
    def values(self) -> tuple[int, ...]:
        """Return the numbers of its operands that were computed from the activation."""
        return tuple(operand.number for operand in self.operands if isinstance(operand, Value))


class Dataflow:
    """The calls of a head, and the tensors that they returned.

    Attributes:
        calls: the calls in their order.
        tensors: the activation, and the tensors that the calls returned, by number.
        counts: how often each operation was called, including calls on constants.
        writes_to_constants: whether a tensor that does not depend on the activation was written to after a recorded
            call had used it, or in a call that depends on the activation.
    """

    def __init__(self, leaf: Tensor) -> None:
        self.calls: list[Call] = []
        self.tensors: list[Tensor] = [leaf]
        self.counts: Counter[str] = Counter()
        self.writes_to_constants = False
        self._numbers: dict[_ViewKey, int] = {_view_key(leaf): LEAF}
        self._constants: set[int] = set()  # addresses of their storages, which the calls keep alive

    def keep_before(self, function: Any, arguments: Any) -> None:
        """Copy the recorded tensors in whose memory a call is about to write."""
        addresses = _written(function, *arguments)
        if addresses:
            for number, tensor in enumerate(self.tensors):
                if storage_address(tensor) in addresses:
                    self.tensors[number] = tensor.clone()

    def note(
        self,
        function: Any,
        arguments: Any,
        leaves: Sequence[Any],
        structure: TreeSpec,
        depends: Sequence[bool],
        result: Any,
    ) -> None:
        """Record a call; `leaves` are its flattened arguments, `depends` says which come from the activation."""
        name = operation_name(function)
        self.counts[name] += 1
        written = _written(function, *arguments)
        if written:
            pairs = zip(leaves, depends, strict=True)
            constants = written.difference(storage_address(leaf) for leaf, is_dependent in pairs if is_dependent)
            self.writes_to_constants |= bool(constants and any(depends)) or not constants.isdisjoint(self._constants)
        if not any(depends):
            return
        operands = []
        for leaf, is_dependent in zip(leaves, depends, strict=True):
            if isinstance(leaf, Tensor) and not is_dependent:
                self._constants.add(storage_address(leaf))
            operands.append(Value(self.number_of(leaf)) if is_dependent else leaf)
        if written:  # earlier tensors in this memory have other contents from now on
            self._numbers = {key: number for key, number in self._numbers.items() if key[0] not in written}
        results = tuple(self._add(tensor) for tensor in tree_leaves(result) if isinstance(tensor, Tensor))
        self.calls.append(Call(function, tuple(operands), structure, results, self.counts[name] - 1))

    def number_of(self, tensor: Any) -> int:
        """Return the number of a tensor with its present contents; `LOST` if it is not in the data flow."""
        return self._numbers.get(_view_key(tensor), LOST) if isinstance(tensor, Tensor) else LOST

    def _add(self, tensor: Tensor) -> int:
        self.tensors.append(tensor)
        number = len(self.tensors) - 1
        self._numbers[_view_key(tensor)] = number
        return number


def operation_name(function: Any) -> str:
    """Return an operation's name without its overload: "add" for PyTorch's own, with a prefix ("lib.add") for others.

    The name of another library's operation does not define what it computes.
    """
    return str(getattr(function, "overloadpacket", function)).removeprefix("aten.")


def _written(function: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> set[int]:
    """Return the addresses of the storages that an operation writes to."""
    return set(map(storage_address, written_tensors(function, args, kwargs))) if hasattr(function, "_schema") else set()


def _view_key(tensor: Tensor) -> _ViewKey:
    """Return a key that all Python objects of the same tensor share: autograd makes new objects of a result."""
    return (
        storage_address(tensor),
        int(tensor.storage_offset()),
        tuple(tensor.shape),
        tuple(tensor.stride()),
        tensor.dtype,
    )
