"""Data flow of a head: which operation computed each tensor, from which tensors, constants and numbers.

Autograd's graph does not keep what an operation added or sliced, so that a part of the head could not be run again from
it. Below autograd every operation is seen with all its operands.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor
from torch.utils._pytree import TreeSpec, tree_leaves

LEAF = 0
"""The number of the activation among the values of a data flow."""
LOST = -1
"""The number of a tensor that depends on the activation in a way that was not followed."""
_ViewKey: TypeAlias = tuple[int, int, tuple[int, ...], tuple[int, ...], torch.dtype]


class Value(NamedTuple):
    """Stands for a tensor that was computed from the activation, by its number."""

    number: int


@dataclass(frozen=True)
class Call:
    """A call of an operation on something computed from the activation.

    `operands` are its arguments as `structure` puts them together, with a `Value` for each tensor computed from the
    activation; `results` are the numbers of the tensors that it returned. `occurrence`: of all calls of this operation
    in the head, those on constants too, which one it is.
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
        """Return the numbers of the tensors computed from the activation that it takes."""
        return tuple(operand.number for operand in self.operands if isinstance(operand, Value))


class Dataflow:
    """The calls of a head in their order, and the tensors that they returned, by number.

    `counts`: how often each operation was called, on constants too. `writes_to_constants`: something that does not
    depend on the activation was written to after it had been used, or in a call that depends on the activation.
    """

    def __init__(self, leaf: Tensor) -> None:
        self.calls: list[Call] = []
        self.tensors: list[Tensor] = [leaf]
        self.counts: Counter[str] = Counter()
        self.writes_to_constants = False
        self._numbers: dict[_ViewKey, int] = {_view_key(leaf): LEAF}
        self._constants: set[int] = set()  # their addresses; the calls keep them alive

    def keep_before(self, function: Any, arguments: Any) -> None:
        """Copy the tensors whose memory a call is about to write to."""
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
        """Note a call; `leaves` and `structure` are its arguments, `depends` says which come from the activation."""
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
        if written:  # what shares this memory holds another content from now on
            self._numbers = {key: number for key, number in self._numbers.items() if key[0] not in written}
        results = tuple(self._add(tensor) for tensor in tree_leaves(result) if isinstance(tensor, Tensor))
        self.calls.append(Call(function, tuple(operands), structure, results, self.counts[name] - 1))

    def number_of(self, tensor: Any) -> int:
        """Return the number of a tensor, as it is at the end; `LOST` where it was not followed."""
        return self._numbers.get(_view_key(tensor), LOST) if isinstance(tensor, Tensor) else LOST

    def _add(self, tensor: Tensor) -> int:
        self.tensors.append(tensor)
        number = len(self.tensors) - 1
        self._numbers[_view_key(tensor)] = number
        return number


def operation_name(function: Any) -> str:
    """Return an operation's name without its overload: "add" for PyTorch's own, with a prefix ("lib.add") for others.

    What an operation of another library does is not told by its name.
    """
    return str(getattr(function, "overloadpacket", function)).removeprefix("aten.")


def _written(function: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> set[int]:
    """Return the addresses of the storages that an operation writes to."""
    schema = getattr(function, "_schema", None)
    if schema is None or not schema.is_mutable:
        return set()
    targets = [
        args[place] if place < len(args) else kwargs.get(argument.name)
        for place, argument in enumerate(schema.arguments)
        if argument.alias_info is not None and argument.alias_info.is_write
    ]
    return {storage_address(leaf) for leaf in tree_leaves(targets) if isinstance(leaf, Tensor)}


def storage_address(tensor: Tensor) -> int:
    """Return what tells the memory of a tensor from that of others, as long as it is not freed."""
    return int(tensor.untyped_storage()._cdata)  # noqa: SLF001


def _view_key(tensor: Tensor) -> _ViewKey:
    """Return what two Python objects of the same tensor have in common: autograd makes new ones of a result."""
    return (
        storage_address(tensor),
        int(tensor.storage_offset()),
        tuple(tensor.shape),
        tuple(tensor.stride()),
        tensor.dtype,
    )
