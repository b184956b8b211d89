"""`Operation`: a call in a head with attention, and the forms of its operands. `Kind`: rules for such operations."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.utils._pytree import tree_unflatten

from shapleycam.game.attention.forms import CONSTANT, Form, RowChoice
from shapleycam.game.axes import Axis, make_axis
from shapleycam.game.dataflow import Call
from shapleycam.tracing.torch_internals import schema_of


@dataclass(frozen=True)
class Operation:
    """A call in a head, with the forms of its operands and the shapes of its results.

    Attributes:
        call: the call.
        tensors: the indices of the tensors among the call's operands.
        forms: the forms of these tensors.
        operand_shapes: the shapes of these tensors.
        shapes: the shapes of the results.
        prefix: the number of prefix tokens.
    """

    call: Call
    tensors: tuple[int, ...]
    forms: tuple[Form, ...]
    operand_shapes: tuple[tuple[int, ...], ...]
    shapes: tuple[tuple[int, ...], ...]
    prefix: int

    @property
    def name(self) -> str:
        """Return the operation's name."""
        return self.call.name

    @property
    def dependent(self) -> list[Form]:
        """Return the forms of the operands that depend on the activation."""
        return [form for form in self.forms if form is not CONSTANT]

    def argument(self, name: str, default: Any = None) -> Any:
        """Return an argument by its name in the operation's schema; `Value` for a tensor from the activation."""
        args, keywords = tree_unflatten(list(self.call.operands), self.call.structure)
        if name in keywords:
            return keywords[name]
        for number, argument in enumerate(schema_of(self.call.function).arguments):
            if argument.name == name:
                return args[number] if number < len(args) else argument.default_value
        return default

    def run(self, tensors: Sequence[Tensor]) -> Any:
        """Run the operation on other tensors, and return its result; an operation in place writes into a copy.

        Detached tensors stay connected to autograd's graph: autograd itself detaches results that it saves (of tanh,
        ReLU), and derivatives should be those of the function that the head computes.
        """
        if self.name == "detach":
            return tensors[0]
        operands = list(self.call.operands)
        for place, tensor in zip(self.tensors, tensors, strict=True):
            operands[place] = tensor
        if self.name.endswith("_") and isinstance(operands[0], Tensor):
            operands[0] = operands[0].clone()
        args, keywords = tree_unflatten(operands, self.call.structure)
        return self.call.function(*args, **keywords)


class Kind(ABC):
    """Rules for a kind of operations: the forms of their results, and how some rows of a result are computed."""

    needs_whole_constants: bool = False
    """Whether constants need the size of the batch along its axis, because the operation does not broadcast them."""

    @abstractmethod
    def forms(self, operation: Operation) -> Sequence[Form] | None:
        """Return the forms of all results; None if they are unknown."""

    def demand(self, operation: Operation, result: int, rows: RowChoice) -> list[RowChoice]:
        """Return the rows of each tensor operand that these rows of a result need; by default the same rows."""
        del result
        return [rows for _ in operation.tensors]

    def constant_axes(self, operation: Operation, tensor: int, axes: tuple[Axis, ...]) -> tuple[Axis, ...]:
        """Return the axes of a constant operand; by default those of the result, to which it is broadcast."""
        del operation, tensor
        return axes

    def run(self, operation: Operation, result: int, tensors: Sequence[Tensor], shape: Sequence[int]) -> Tensor:
        """Return a result with shape `shape`, for some of the rows and for another batch."""
        del shape
        results = operation.run(tensors)
        value: Tensor = results if isinstance(results, Tensor) else results[result]
        return value


def channels(size: int) -> Axis:
    """Return an axis of channels."""
    return make_axis("channel", size)
