"""A call of an operation in a head with attention, with the forms of what it takes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.utils._pytree import tree_unflatten

from shapleycam.game.attention.forms import CONSTANT, Form, RowChoice, Rows
from shapleycam.game.axes import Axis, make_axis
from shapleycam.game.dataflow import Call, Value


@dataclass(frozen=True)
class Operation:
    """A call, the forms of the tensors among its operands, the shapes of its results, and the number of prefix tokens.

    `tensors` are the places of the tensors among the call's operands, `forms` the forms of these.
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
        """Return an argument by its name in the operation's schema; tensors computed from the activation as `Value`."""
        args, keywords = tree_unflatten(list(self.call.operands), self.call.structure)
        if name in keywords:
            return keywords[name]
        schema = self.call.function._schema.arguments  # noqa: SLF001
        for number, argument in enumerate(schema):
            if argument.name == name:
                return args[number] if number < len(args) else argument.default_value
        return default

    def run(self, tensors: Sequence[Tensor]) -> Any:
        """Return what the operation returns of other tensors; nothing is written to.

        What is detached stays connected: autograd itself detaches results that it keeps (of tanh, ReLU), and whoever
        asks for derivatives means those of the numbers.
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
    """A kind of operations: what becomes of the rows of their operands, and how a part of the rows is computed."""

    needs_whole_constants: bool = False
    """Whether constants of the batch must be as long as it, because they are not broadcast."""

    @abstractmethod
    def forms(self, operation: Operation) -> Sequence[Form] | None:
        """Return the forms of all results; None where this is not known."""

    def demand(self, operation: Operation, result: int, rows: RowChoice) -> list[RowChoice]:
        """Return which rows of each tensor among the operands are needed for rows of a result: by default the same."""
        del result
        return [rows for _ in operation.tensors]

    def constant_axes(self, operation: Operation, tensor: int, axes: tuple[Axis, ...]) -> tuple[Axis, ...]:
        """Return the axes of a constant operand, by default those of the result that it is broadcast to."""
        del operation, tensor
        return axes

    def run(self, operation: Operation, result: int, tensors: Sequence[Tensor], shape: Sequence[int]) -> Tensor:
        """Return a result, of `shape`, for a part of the rows and another batch."""
        del shape
        results = operation.run(tensors)
        value: Tensor = results if isinstance(results, Tensor) else results[result]
        return value


def rows_of(form: Form) -> Rows | None:
    """Return a form if it is of rows."""
    return form if isinstance(form, Rows) else None


def channels(size: int) -> Axis:
    """Return an axis of channels."""
    return make_axis("channel", size)


def is_value(operand: Any) -> bool:
    """Return whether an operand depends on the activation."""
    return isinstance(operand, Value)
