"""Data flow of a head: which operation computed each tensor, from which tensors, constants and numbers.

Autograd's graph does not keep what an operation added or sliced, so that a part of the head could not be run again from
it. Below autograd every operation is seen with all its operands.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor
from torch.utils._pytree import TreeSpec, tree_flatten, tree_leaves

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
    activation; `results` are the numbers of the tensors that it returned.
    """

    function: Any
    operands: tuple[Any, ...]
    structure: TreeSpec
    results: tuple[int, ...]

    @property
    def name(self) -> str:
        """Return the operation's name without its overload, as in "add"."""
        return str(getattr(self.function, "overloadpacket", self.function)).rpartition(".")[2]

    @property
    def values(self) -> tuple[int, ...]:
        """Return the numbers of the tensors computed from the activation that it takes."""
        return tuple(operand.number for operand in self.operands if isinstance(operand, Value))


class Dataflow:
    """The calls of a head in their order, and the tensors that they returned, by number.

    `overwritten`: the numbers of tensors whose memory was written to afterwards, so that it holds another content now.
    `writes_to_constants`: something that does not depend on the activation was written to after it had been used, or
    in a call that depends on the activation.
    """

    def __init__(self, leaf: Tensor) -> None:
        self.calls: list[Call] = []
        self.tensors: list[Tensor] = [leaf]
        self.overwritten: set[int] = set()
        self.writes_to_constants = False
        self._numbers: dict[_ViewKey, int] = {_view_key(leaf): LEAF}
        self._constants: set[int] = set()  # their addresses; the calls keep them alive

    def note(self, function: Any, arguments: Any, result: Any, dependent: Collection[int]) -> None:
        """Note a call; `dependent` holds the addresses of the storages that depend on the activation."""
        leaves, structure = tree_flatten(arguments)
        depends = [isinstance(leaf, Tensor) and storage_address(leaf) in dependent for leaf in leaves]
        is_written = _writes(function)
        if is_written:
            self._write(leaves[0], is_dependent=depends[0], in_dependent_call=any(depends))
        if not any(depends):
            return
        operands = []
        for leaf, is_dependent in zip(leaves, depends, strict=True):
            if isinstance(leaf, Tensor) and not is_dependent:
                self._constants.add(storage_address(leaf))
            operands.append(Value(self.number_of(leaf)) if is_dependent else leaf)
        if is_written and depends[0]:
            self._forget_other_views(leaves[0])
        results = tuple(self._add(tensor) for tensor in tree_leaves(result) if isinstance(tensor, Tensor))
        self.calls.append(Call(function, tuple(operands), structure, results))

    def number_of(self, tensor: Any) -> int:
        """Return the number of a tensor, as it is at the end; `LOST` where it was not followed."""
        return self._numbers.get(_view_key(tensor), LOST) if isinstance(tensor, Tensor) else LOST

    def _add(self, tensor: Tensor) -> int:
        self.tensors.append(tensor)
        number = len(self.tensors) - 1
        self._numbers[_view_key(tensor)] = number
        return number

    def _write(self, target: Tensor, *, is_dependent: bool, in_dependent_call: bool) -> None:
        if not is_dependent:
            self.writes_to_constants |= in_dependent_call or storage_address(target) in self._constants
            return
        address = storage_address(target)
        self.overwritten |= {number for number, tensor in enumerate(self.tensors) if storage_address(tensor) == address}

    def _forget_other_views(self, target: Tensor) -> None:
        """Forget the tensors that share memory with one that is written to: they hold another content from now on."""
        address = storage_address(target)
        self._numbers = {key: number for key, number in self._numbers.items() if key[0] != address}


def _writes(function: Any) -> bool:
    schema = getattr(function, "_schema", None)
    return schema is not None and bool(schema.is_mutable)


def storage_address(tensor: Tensor) -> int:
    """Return what tells the memory of a tensor from that of others, as long as it is not freed."""
    return int(tensor.untyped_storage()._cdata)  # noqa: SLF001


def _view_key(tensor: Tensor) -> _ViewKey:
    """Return what two Python objects of the same tensor have in common: autograd makes new ones of a result."""
    return storage_address(tensor), tensor.storage_offset(), tuple(tensor.shape), tuple(tensor.stride()), tensor.dtype
