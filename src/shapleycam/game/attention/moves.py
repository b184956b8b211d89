"""Operations that only move numbers: reshapes, permutations, and repetitions by views (`expand`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from torch import Tensor

from shapleycam.game.attention.forms import Form, Rows, Scores
from shapleycam.game.attention.operation import Kind, Operation, channels
from shapleycam.game.axes import Axis, reshape_axes


class _Move(Kind):
    """Moves the numbers of its only operand; the result contains all of them."""

    def forms(self, operation: Operation) -> Sequence[Form] | None:
        (form,) = operation.forms
        axes = self.axes(operation, form.axes) if isinstance(form, Rows | Scores) else None
        return None if axes is None or not isinstance(form, Rows | Scores) else [replace(form, axes=axes)]

    def axes(self, operation: Operation, axes: tuple[Axis, ...]) -> tuple[Axis, ...] | None:
        """Return the axes of the result."""
        raise NotImplementedError


class Reshape(_Move):
    """Changes the shape; the numbers keep their order."""

    def axes(self, operation: Operation, axes: tuple[Axis, ...]) -> tuple[Axis, ...] | None:
        return reshape_axes(axes, operation.shapes[0])

    def run(self, operation: Operation, result: int, tensors: Sequence[Tensor], shape: Sequence[int]) -> Tensor:
        del operation, result
        return tensors[0].reshape(tuple(shape))


class Permute(_Move):
    """Permutes the dimensions."""

    def axes(self, operation: Operation, axes: tuple[Axis, ...]) -> tuple[Axis, ...] | None:
        order = list(range(len(axes)))
        if operation.name == "permute":
            order = [dim % len(axes) for dim in operation.argument("dims")]
        elif len(axes) > 1:
            first, second = (operation.argument(name, default) for name, default in (("dim0", 0), ("dim1", 1)))
            order[first], order[second] = order[second], order[first]
        return tuple(axes[dim] for dim in order)


class Expand(_Move):
    """Repeats dimensions of size 1 by a view; repeated and new dimensions are channels."""

    def axes(self, operation: Operation, axes: tuple[Axis, ...]) -> tuple[Axis, ...] | None:
        shape = operation.shapes[0]
        old = ((),) * (len(shape) - len(axes)) + axes
        return tuple(axis or channels(size) for axis, size in zip(old, shape, strict=True))

    def run(self, operation: Operation, result: int, tensors: Sequence[Tensor], shape: Sequence[int]) -> Tensor:
        del operation, result
        return tensors[0].expand(tuple(shape))


MOVES: dict[str, Kind] = {
    **dict.fromkeys(
        ("view", "_unsafe_view", "_reshape_alias", "reshape", "unsqueeze", "squeeze", "flatten", "unflatten"), Reshape()
    ),
    **dict.fromkeys(("permute", "transpose", "t"), Permute()),
    "expand": Expand(),
}
"""The kinds by the names of PyTorch's operations."""
