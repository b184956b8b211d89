"""What a head computes with besides the activation: its operations, and the constants and numbers that enter them.

Autograd's graph has the operations, but of most constants neither value nor shape. Recorded below autograd, they show
whether a head that is run on a single position does what it does on the map: a threshold, a bias or a factor that was
made of the map's size or of the number of rows is another number there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

_LAYOUT = {
    *("clone", "contiguous", "_unsafe_view", "_reshape_alias", "_to_copy", "detach", "alias"),
    *("as_strided_", "squeeze_", "unsqueeze_", "transpose_", "t_", "swapaxes_", "swapdims_"),
}
"""Operations that change where the numbers lie, beside the views, whose arguments follow the size of the map."""
_BIAS = {"addmm": 0, "linear": 2}
"""Where the bias is among the operands."""
_DETACHING = {Tensor.detach, Tensor.detach_, torch.detach, Tensor.data.__get__}  # type: ignore[attr-defined]
_DEPENDENT = object()
"""Stands for an operand that was computed from the activation."""


@dataclass(frozen=True)
class Operation:
    """An operation on something computed from the activation, and the constants and numbers that enter it."""

    name: str
    operands: tuple[Any, ...]


@dataclass(frozen=True)
class Recorded:
    """The output of a head, the leaf of its graph, and its operations in their order.

    `hidden`: something read the activation where autograd does not follow, detached, or as whole numbers (comparisons,
    indices, decisions of Python). `without_grad`: under no_grad, as the forward of a function with its own backward is.
    """

    output: Any
    leaf: Tensor
    operations: tuple[Operation, ...]
    hidden: bool
    without_grad: bool

    @property
    def bias_by_row(self) -> bool:
        """Whether a matrix product adds a bias that may differ from row to row."""
        for operation in self.operations:
            place = _BIAS.get(operation.name)
            if place is not None and len(operation.operands) > place:
                bias = operation.operands[place]
                if isinstance(bias, Tensor) and bias.dim() > 1 and bias.shape[:-1].numel() > 1:
                    return True
        return False

    def repeats(self, other: Recorded) -> bool:
        """Whether another recording, of other numbers of rows or positions, has the same operations and constants."""
        return all(
            one is not None and two is not None and one.name == two.name and _same(one.operands, two.operands)
            for one, two in zip_longest(self.operations, other.operations)
        )


def recorded(head: Callable[[Tensor], Any], activation: Tensor) -> Recorded:
    """Run the head on a copy of an activation, and return its output with the graph and the operations."""
    with torch.inference_mode(mode=False), torch.enable_grad():
        leaf = activation.clone().detach().requires_grad_()
        with _Recorder(leaf) as recorder, _Detached(recorder):
            output = head(leaf)
        return Recorded(output, leaf, tuple(recorder.operations), recorder.hidden, recorder.without_grad)


class _Recorder(TorchDispatchMode):
    """Notes every operation on what was computed from a leaf, whether autograd follows it or not."""

    def __init__(self, leaf: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.operations: list[Operation] = []
        self.hidden = self.without_grad = False
        # Views and detached tensors are other tensors with the same storage. The storages are kept, so that none gets
        # the place in memory of another.
        self._dependent = {_place(leaf): leaf.untyped_storage()}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        noted = tuple(_DEPENDENT if self.depends(operand) else operand for operand in tree_leaves((args, kwargs or {})))
        value = func(*args, **(kwargs or {}))
        if any(operand is _DEPENDENT for operand in noted):
            made = [tensor for tensor in tree_leaves(value) if isinstance(tensor, Tensor)]
            self._dependent |= {_place(tensor): tensor.untyped_storage() for tensor in made}
            self.hidden |= not made or not all(tensor.is_floating_point() for tensor in made)
            self.without_grad |= not torch.is_grad_enabled()
            name = str(getattr(func, "overloadpacket", func)).rpartition(".")[2]
            if not getattr(func, "is_view", False) and name not in _LAYOUT:
                self.operations.append(Operation(name, noted))
        return value

    def depends(self, operand: Any) -> bool:
        """Whether something was computed from the leaf."""
        return isinstance(operand, Tensor) and _place(operand) in self._dependent


class _Detached(TorchFunctionMode):
    """Notes where Python code detaches what was computed from a leaf; PyTorch itself does so inside its operations."""

    def __init__(self, recorder: _Recorder) -> None:
        super().__init__()
        self._recorder = recorder

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in _DETACHING and self._recorder.depends(args[0]):
            self._recorder.hidden = True
        return func(*args, **(kwargs or {}))


def _place(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)  # noqa: SLF001


def _same(operands: tuple[Any, ...], others: tuple[Any, ...]) -> bool:
    return len(operands) == len(others) and all(map(_equal, operands, others))


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        if one.shape != other.shape:  # of constants repeated for each row of the batch, any row
            one, other = _of_a_row(one), _of_a_row(other)
        if one.shape != other.shape or one.dtype != other.dtype:
            return False
        alike = one.data_ptr() == other.data_ptr() and one.stride() == other.stride()
        return alike or bool(torch.equal(one, other))
    return type(one) is type(other) and bool(one == other)


def _of_a_row(constant: Tensor) -> Tensor:
    if constant.dim() > 1 and bool((constant == constant[:1]).all()):
        return constant[:1]
    return constant
