"""Prove that a head's output is a function of one sum over windows, by finding the form of each of its tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from shapleycam.game.attention.operation import Operation
from shapleycam.game.attention.pointwise import COPIES, is_pointwise
from shapleycam.game.axes import axes_of_activation, shape_of_axes
from shapleycam.game.dataflow import LEAF, Call, Dataflow, Value
from shapleycam.game.head_recording import HeadRecording
from shapleycam.game.windows.affine import keeps_affine
from shapleycam.game.windows.contractions import Contraction, contract
from shapleycam.game.windows.forms import (
    CONSTANT,
    MOST_CELLS,
    OUTSIDE,
    UNKNOWN,
    Form,
    OfSum,
    PositionMap,
    is_single_sum,
    row_numbers,
    without_mixing,
)
from shapleycam.game.windows.mixtures import join_sums, mix_rows, pool, seen_otherwise
from shapleycam.game.windows.reads import periodic_colours
from shapleycam.game.windows.row_rules import apply_move, apply_pointwise
from shapleycam.game.windows.rules import MOVE_NAMES, RULES
from shapleycam.game.windows.window_sum import CallPlace, WindowSum
from shapleycam.models.layout import Layout

_POOLS = {"mean", "sum", "avg_pool2d", "avg_pool3d", "_adaptive_avg_pool2d", "_adaptive_avg_pool3d"}
_CUTS = {"select", "slice"}
_PRODUCTS = {"mm", "bmm", "addmm", "baddbmm", "linear"}
_CONSTANTS = {"new_ones", "new_zeros", "new_full", "ones_like", "zeros_like", "full_like"}
"""Operations that use the shape of their operand, and not its numbers."""
_FEWER = 4
"""A sum of several parts is worth a table if it has more than this number of windows for each part."""


def prove_window_sum(recording: HeadRecording, layout: Layout) -> WindowSum | None:
    """Return the sum over windows that a head's output is a function of; None if its operations do not prove one.

    Args:
        recording: a recording of the head, on a batch of two or more.
        layout: the layout of the activation.

    Examples:
        >>> import torch
        >>> from shapleycam.game.head_recording import record_head
        >>> from shapleycam.game.windows import prove_window_sum
        >>> from shapleycam.models.layout import Layout
        >>> weights = torch.rand(5, 2 * 3 * 3)
        >>> head = lambda a: (a.relu().flatten(1) @ weights.mT).sigmoid()
        >>> recording = record_head(head, torch.rand(2, 2, 3, 3))
        >>> proven = prove_window_sum(recording, Layout("NCHW", (3, 3)))
        >>> len(proven.cells), proven.width, proven.features, proven.is_affine
        (9, 1, 5, False)
    """
    number = recording.dataflow.number_of(recording.output)
    if number < 0 or recording.hides_reads or recording.dataflow.writes_to_constants:
        return None
    followed = _FollowedPositions(recording.dataflow, layout)
    return followed.sum_behind(number)


class _FollowedPositions:
    """Finds the form of each tensor of a data flow."""

    def __init__(self, dataflow: Dataflow, layout: Layout) -> None:
        self._dataflow, self._layout = dataflow, layout
        shape = tuple(dataflow.tensors[LEAF].shape)
        axes = axes_of_activation(layout, shape)
        rows = row_numbers(axes).numel()
        cells = torch.arange(rows, device="cpu")[:, None]
        self._forms: list[Form] = [UNKNOWN] * len(dataflow.tensors)
        self._forms[LEAF] = PositionMap(axes, cells)
        self._contractions: dict[int, Contraction] = {}
        for number, call in enumerate(dataflow.calls):
            self._follow(number, call)

    def sum_behind(self, number: int) -> WindowSum | None:
        """Return the sum that a tensor is computed from; None if there is none."""
        form = self._as_of_sum(self._forms[number])
        if form is None:
            return None
        contraction, summed = self._contractions.get(form.tensor), self._forms[form.tensor]
        mixing = contraction.mixing if contraction else summed.mixing if isinstance(summed, PositionMap) else None
        if mixing is None:
            return None
        first = self._dataflow.calls[mixing.first]
        operand = next(place for place, operand in enumerate(first.operands) if operand == Value(mixing.source))
        layout, rows = self._layout, mixing.rows_read
        colours = periodic_colours(layout.grid, layout.prefix, mixing.cells[rows], OUTSIDE, MOST_CELLS)
        if colours is None or not len(rows):
            return None
        return WindowSum(
            cells=mixing.cells[rows],
            rows=rows,
            colours=colours,
            source=(self._place(first), operand),
            result=self._place(self._dataflow.calls[form.call]),
            source_axes=mixing.axes,
            result_axes=mixing.result_axes,
            weights=None if mixing.weights is None else mixing.weights[:, rows],
            matrix=contraction.matrix if contraction else None,
            feature_shape=tuple(self._dataflow.tensors[form.tensor].shape[1:]),
            is_affine=form.is_affine,
        )

    def _place(self, call: Call) -> CallPlace:
        return CallPlace(call.name, call.occurrence, self._dataflow.counts[call.name])

    def _follow(self, number: int, call: Call) -> None:
        """Store the forms of a call's results."""
        operation, forms = self._operation(call)
        dependent = [form for form in forms if form is not CONSTANT]
        if call.name in _CONSTANTS or not dependent:
            for result in call.results:
                self._forms[result] = CONSTANT
            return
        if any(form is UNKNOWN for form in dependent):
            return
        maps = [form if isinstance(form, PositionMap) else None for form in forms]
        if not any(isinstance(form, OfSum) for form in dependent):
            results = self._of_positions(number, operation, maps)
            if results and results[0] is not UNKNOWN:
                for result, form in zip(call.results, results, strict=False):
                    self._forms[result] = self._checked(result, form)
                return
        sums = [self._as_of_sum(form) for form in dependent]
        tensors = {form.tensor for form in sums if form is not None}
        if len(tensors) == 1 and None not in sums:
            (first, *_) = (form for form in sums if form is not None)
            is_affine = all(form.is_affine for form in sums if form) and keeps_affine(operation, forms)
            for result in call.results:
                self._forms[result] = OfSum(first.call, first.tensor, is_affine)

    def _checked(self, result: int, form: Form) -> Form:
        """Return the form of a tensor if it matches its shape, else `UNKNOWN`; an empty tensor is a constant."""
        shape = tuple(self._dataflow.tensors[result].shape)
        if 0 in shape:
            return CONSTANT
        return form if not isinstance(form, PositionMap) or _fits(form, shape) else UNKNOWN

    def _of_positions(
        self, number: int, operation: Operation, maps: Sequence[PositionMap | None]
    ) -> Sequence[Form] | None:
        """Return the forms of the results of a call on tensors with positions; None if no rule covers it."""
        name, call = operation.name.removesuffix("_"), operation.call
        first = next((form for form in maps if form is not None), None)
        mixed = None if first is None else self._as_mixture(number, operation, maps, first)
        if mixed is not None:
            return [self._with_numbers(mixed, call)]
        if name in _PRODUCTS or name == "convolution":
            contraction = contract(operation, maps, call.values[0], number)
            if contraction is not None:
                self._contractions[call.results[0]] = contraction
                return [OfSum(number, call.results[0])]
        if name in COPIES and first is not None:
            return [first]
        if name in MOVE_NAMES:
            return apply_move(operation, maps)
        if all(form is None or is_single_sum(form) for form in maps):
            return None  # computed only from single sums, which have no positions
        rule = RULES.get(name) or (apply_pointwise if is_pointwise(call.function) else None)
        return rule and rule(operation, [form and without_mixing(form) for form in maps])

    def _as_mixture(
        self, number: int, operation: Operation, maps: Sequence[PositionMap | None], first: PositionMap
    ) -> PositionMap | None:
        """Return the form of a result that is sums over rows of a call's operands; None if the call has none."""
        name = operation.name.removesuffix("_")
        if name in _POOLS | _CUTS and len(maps) == 1:
            return pool(operation, first, number)
        if name == "cat":
            return join_sums(operation, maps, number)
        if name in MOVE_NAMES and self._belongs_to_sum(name, first):
            return seen_otherwise(operation, first, number)
        if name in _PRODUCTS and sum(form is not None for form in maps) == 1:
            return mix_rows(operation, maps, number)
        return None

    def _belongs_to_sum(self, name: str, form: PositionMap) -> bool:
        """Return whether a move belongs to the sum before it, because its shape depends on the map's number of rows.

        This occurs in products with more dimensions: PyTorch computes them with matrices that have rows and channels
        on one axis.
        """
        if form.mixing is None:
            return False
        is_moved = self._dataflow.calls[form.mixing.last].name in MOVE_NAMES
        return name == "_unsafe_view" or is_moved or not form.mixing.leads_with_batch

    @staticmethod
    def _with_numbers(form: PositionMap, call: Call) -> PositionMap:
        """Return a form whose mixing has the numbers of the call's result and, if it is the first call, operand."""
        if form.mixing is None:
            return form
        source = call.values[0] if form.mixing.source < 0 else form.mixing.source
        return replace(form, mixing=replace(form.mixing, source=source, result=call.results[0]))

    @staticmethod
    def _as_of_sum(form: Form) -> OfSum | None:
        """Return the form of a tensor that is, or is computed from, a sum; None if no sum is worth a table."""
        if isinstance(form, OfSum):
            return form
        mixing = form.mixing if isinstance(form, PositionMap) else None
        if mixing is None or mixing.weights is None:
            return None
        parts, windows = mixing.weights.shape
        is_small = parts == 1 or parts * _FEWER < windows
        return OfSum(mixing.last, mixing.result) if is_small and mixing.leads_with_batch else None

    def _operation(self, call: Call) -> tuple[Operation, list[Form]]:
        """Return a call as an operation, and the forms of its tensors."""
        places: list[int] = []
        forms: list[Form] = []
        shapes = []
        for place, operand in enumerate(call.operands):
            if isinstance(operand, Value):
                is_followed = operand.number >= 0
                forms.append(self._forms[operand.number] if is_followed else UNKNOWN)
                shapes.append(tuple(self._dataflow.tensors[operand.number].shape) if is_followed else ())
            elif isinstance(operand, Tensor):
                forms.append(CONSTANT)
                shapes.append(tuple(operand.shape))
            else:
                continue
            places.append(place)
        results = tuple(tuple(self._dataflow.tensors[number].shape) for number in call.results)
        return Operation(call, tuple(places), (), tuple(shapes), results, 0), forms


def _fits(form: Form, shape: tuple[int, ...]) -> bool:
    """Return whether a form matches its tensor's shape; a wrong rule then ends the proof."""
    return isinstance(form, PositionMap) and shape_of_axes(form.axes) == shape
