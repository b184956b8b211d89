"""`Program`: the steps of a head that compute some rows of a tensor, for any batch of coalitions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from shapleycam.game.attention.analysis import FollowedHead, Producer
from shapleycam.game.attention.forms import ROW, RowChoice, Rows, Scores, count_rows, has, indices_of, sizes_of, take
from shapleycam.game.attention.pieces import NO_ROWS
from shapleycam.game.attention.reductions import Softmax
from shapleycam.game.axes import Axis
from shapleycam.game.dataflow import Value


class NotProvenError(Exception):
    """The head does not have the form that a shortcut needs; the message says why."""


@dataclass(frozen=True)
class Source:
    """An input of a program: the number of a tensor, and the rows of it that are needed."""

    number: int
    rows: RowChoice


@dataclass(frozen=True)
class _Constant:
    """A constant operand with the rows that are needed. `is_whole`: it needs the size of the batch along its axis."""

    tensor: Tensor
    axes: tuple[Axis, ...]
    is_whole: bool

    def of_batch(self, batch: int) -> Tensor:
        """Return the constant for a batch of this size."""
        if not self.is_whole:
            return self.tensor
        return take(self.tensor, self.axes, "batch", torch.zeros(batch, dtype=torch.long, device="cpu"))


_Operand = int | _Constant | None
"""A slot, a constant, or None: operands of a concatenation along rows may not be needed."""


@dataclass(frozen=True)
class _Step:
    """Computes some rows of a tensor from its operands; `axes` are those of the whole tensor."""

    producer: Producer
    operands: tuple[_Operand, ...]
    axes: tuple[Axis, ...]
    rows: RowChoice


@dataclass(frozen=True)
class Program:
    """The steps that compute some rows of a tensor; the result of each step has a slot, and the last is the output."""

    steps: tuple[Source | _Step, ...]

    @property
    def sources(self) -> list[Source]:
        """Return the inputs of the program."""
        return [step for step in self.steps if isinstance(step, Source)]

    def run(self, batch: int, source: Callable[[Source], Tensor]) -> Tensor:
        """Compute the rows for a batch of this size; `source` returns the program's inputs."""
        slots: dict[int, Tensor] = {}
        last_use = {operand: slot for slot, step in enumerate(self.steps) for operand in _slots_of(step)}
        for slot, step in enumerate(self.steps):
            slots[slot] = source(step) if isinstance(step, Source) else _run_step(step, slots, batch)
            for operand in _slots_of(step):
                if last_use[operand] == slot:
                    slots.pop(operand, None)
        return slots[len(self.steps) - 1]


def _slots_of(step: Source | _Step) -> list[int]:
    return [] if isinstance(step, Source) else [operand for operand in step.operands if isinstance(operand, int)]


def _run_step(step: _Step, slots: dict[int, Tensor], batch: int) -> Tensor:
    tensors = [
        operand.of_batch(batch) if isinstance(operand, _Constant) else NO_ROWS if operand is None else slots[operand]
        for operand in step.operands
    ]
    shape = sizes_of(step.axes, batch, None if step.rows is None else len(step.rows))
    return step.producer.kind.run(step.producer.operation, step.producer.result, tensors, shape)


def make_program(head: FollowedHead, number: int, rows: RowChoice, is_source: Callable[[int], bool]) -> Program:
    """Return the program that computes some rows of a tensor of a head.

    The softmax of attention scores is left out, because its result depends on which keys a coalition has.

    Args:
        head: the head, with the forms of its tensors.
        number: the number of the tensor.
        rows: the rows to compute.
        is_source: a function that takes the number of a tensor, and returns whether this is an input of the program.

    Raises:
        NotProvenError: a tensor that is needed has no known form, its rows lie along several axes, or a constant
            differs between rows of the same image.
    """
    builder = _Builder(head, is_source)
    builder.add(number, rows)
    return Program(tuple(builder.steps))


class _Builder:
    """Collects the steps that a tensor needs, operands first."""

    def __init__(self, head: FollowedHead, is_source: Callable[[int], bool]) -> None:
        self._head, self._is_source = head, is_source
        self.steps: list[Source | _Step] = []
        self._slots: dict[tuple[int, RowChoice], int] = {}

    def add(self, number: int, rows: RowChoice) -> int:
        """Add the steps that compute rows of a tensor, unless they exist, and return the slot of the result."""
        form = self._head.forms[number] if number >= 0 else None
        if not isinstance(form, Rows | Scores):
            raise NotProvenError("a tensor that the output is computed from is not followed")
        rows = _normalize_rows(form.axes, rows)
        key = (number, rows)
        if key not in self._slots:
            self._slots[key] = self._add_step(number, form, rows)
        return self._slots[key]

    def _add_step(self, number: int, form: Rows | Scores, rows: RowChoice) -> int:
        if self._is_source(number):
            self.steps.append(Source(number, rows))
            return len(self.steps) - 1
        producer = self._head.producers[number]
        operation, kind = producer.operation, producer.kind
        demands = kind.demand(operation, producer.result, rows)
        if isinstance(form, Scores) and isinstance(kind, Softmax):
            return self.add(operation.call.values[0], demands[0])
        operands: list[_Operand] = []
        for index, (place, needed) in enumerate(zip(operation.tensors, demands, strict=True)):
            operand = operation.call.operands[place]
            if needed == ():
                operands.append(None)
            elif isinstance(operand, Value):
                operands.append(self.add(operand.number, needed))
            else:
                axes = kind.constant_axes(operation, index, form.axes)
                operands.append(_constant(operand, axes, needed, is_whole=kind.needs_whole_constants))
        self.steps.append(_Step(producer, tuple(operands), form.axes, rows))
        return len(self.steps) - 1


def _normalize_rows(axes: tuple[Axis, ...], rows: RowChoice) -> RowChoice:
    """Return None if the rows are all rows or the tensor has no axis of rows, else the same rows.

    Raises:
        NotProvenError: the rows lie along several axes.
    """
    if rows is None or not has(axes, ROW) or rows == tuple(range(count_rows(axes))):
        return None
    if sum(factor.content == ROW for axis in axes for factor in axis) > 1:
        raise NotProvenError("rows are chosen where they lie along several axes")
    return rows


def _constant(tensor: Tensor, axes: tuple[Axis, ...], rows: RowChoice, *, is_whole: bool) -> _Constant:
    """Return a constant operand that is broadcast to `axes`, with the rows that are needed.

    Raises:
        NotProvenError: it differs between the rows of the recorded batch, which belong to the same image.
    """
    tensor = tensor.detach()
    if rows is not None:
        tensor = take(tensor, axes, ROW, indices_of(rows))
        axes = axes_of_rows(axes, rows)
    aligned = axes[len(axes) - tensor.dim() :]
    batched = [axis for axis, size in zip(aligned, tensor.shape, strict=True) if has((axis,), "batch") and size > 1]
    if not batched:
        return _Constant(tensor, axes, is_whole=False)
    first, second = (take(tensor, axes, "batch", indices_of([entry])) for entry in (0, 1))
    if not torch.equal(first, second):
        raise NotProvenError("a constant differs between rows of the same image")
    is_whole |= any(len(axis) > 1 for axis in batched)
    return _Constant(tensor if is_whole else first, axes, is_whole=is_whole)


def axes_of_rows(axes: tuple[Axis, ...], rows: RowChoice) -> tuple[Axis, ...]:
    """Return the axes of a tensor after these rows were selected."""
    if rows is None:
        return axes
    return tuple(
        tuple(factor._replace(size=len(rows)) if factor.content == ROW else factor for factor in axis) for axis in axes
    )
