"""Find the form of every tensor that a head computes from the tokens of an activation."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from shapleycam.game.attention.forms import CONSTANT, UNKNOWN, Form, Rows, count_rows
from shapleycam.game.attention.moves import MOVES
from shapleycam.game.attention.operation import Kind, Operation
from shapleycam.game.attention.pieces import PIECES
from shapleycam.game.attention.pointwise import Pointwise, is_pointwise
from shapleycam.game.attention.products import PRODUCTS
from shapleycam.game.attention.reductions import REDUCTIONS
from shapleycam.game.axes import axes_of_activation, shape_of_axes
from shapleycam.game.dataflow import LEAF, Call, Dataflow, Value
from shapleycam.models.layout import Layout

_KINDS = {**MOVES, **PIECES, **PRODUCTS, **REDUCTIONS}
_POINTWISE = Pointwise()


@dataclass(frozen=True)
class Producer:
    """The operation that computes a tensor, its kind, and the index of the tensor among the operation's results."""

    operation: Operation
    kind: Kind
    result: int


@dataclass(frozen=True)
class FollowedHead:
    """A head's data flow with the form of each tensor, and the producers of the tensors that a rule covers."""

    dataflow: Dataflow
    forms: tuple[Form, ...]
    producers: dict[int, Producer]
    prefix: int
    positions: int


def follow_tokens(dataflow: Dataflow, layout: Layout) -> FollowedHead:
    """Return a head's data flow with the form of each tensor that it computes from the activation."""
    tensors = dataflow.tensors
    leaf_axes = axes_of_activation(layout, tuple(tensors[LEAF].shape))
    forms: list[Form] = [UNKNOWN] * len(tensors)
    forms[LEAF] = Rows(leaf_axes, tuple(range(count_rows(leaf_axes))))
    producers: dict[int, Producer] = {}
    for call in dataflow.calls:
        operation = _operation(call, dataflow, forms, layout.prefix)
        kind = _KINDS.get(call.name) or (_POINTWISE if is_pointwise(call.function) else None)
        if kind is None or operation is None or not call.results:
            continue
        for result, (number, form) in enumerate(zip(call.results, _forms_of(operation, kind), strict=False)):
            forms[number] = form
            producers[number] = Producer(operation, kind, result)
    return FollowedHead(dataflow, tuple(forms), producers, layout.prefix, count_rows(leaf_axes))


def _operation(call: Call, dataflow: Dataflow, forms: list[Form], prefix: int) -> Operation | None:
    """Return a call with the forms of its operands; None if one of these forms is unknown."""
    places, operand_forms, shapes = [], [], []
    for place, operand in enumerate(call.operands):
        if isinstance(operand, Value):
            form = forms[operand.number] if operand.number >= 0 else UNKNOWN
            if form is UNKNOWN:
                return None
            tensor = dataflow.tensors[operand.number]
        elif isinstance(operand, Tensor):
            form, tensor = CONSTANT, operand
        else:
            continue
        places.append(place)
        operand_forms.append(form)
        shapes.append(tuple(tensor.shape))
    results = tuple(tuple(dataflow.tensors[number].shape) for number in call.results)
    return Operation(call, tuple(places), tuple(operand_forms), tuple(shapes), results, prefix)


def _forms_of(operation: Operation, kind: Kind) -> list[Form]:
    forms = kind.forms(operation)
    if forms is None:
        return []
    return [form if _fits(form, shape) else UNKNOWN for form, shape in zip(forms, operation.shapes, strict=False)]


def _fits(form: Form, shape: tuple[int, ...]) -> bool:
    """Return whether a form matches its tensor's shape; a wrong rule then ends the proof, and not the explanation."""
    return form is UNKNOWN or (not isinstance(form, str) and form is not None and shape_of_axes(form.axes) == shape)
