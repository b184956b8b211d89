"""Rules for operations that sum rows and channels together, with any matrix: products, and some convolutions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from shapleycam.game.attention.operation import Operation
from shapleycam.game.axes import Axis, shape_of_axes
from shapleycam.game.windows.forms import Mixing, PositionMap, has, with_numbered_channels
from shapleycam.game.windows.mixtures import FACTORS, constant_factor, is_batch, starting


@dataclass(frozen=True, eq=False)
class Contraction:
    """A matrix that sums the rows and channels of a tensor together, in one call.

    Attributes:
        mixing: the tensor as sums over rows of the source.
        matrix: the matrix, by the tensor's rows (parts) and channels, in their order.
        call: the index of the call.
    """

    mixing: Mixing
    matrix: Float[Tensor, "parts channels features"]
    call: int


def contract(operation: Operation, forms: Sequence[PositionMap | None], source: int, call: int) -> Contraction | None:
    """Return the contraction by a matrix product, or by a convolution whose kernel covers the whole map."""
    if operation.name == "convolution":
        return _contract_map(operation, forms, source, call)
    left, right = FACTORS[operation.name]
    form, weight = forms[left], constant_factor(operation, right)
    if form is None or weight is None or operation.name in {"bmm", "baddbmm"}:
        return None
    if sum(each is not None for each in forms) != 1 or operation.argument("alpha", 1) != 1:
        return None  # what is added depends on the positions too, or the product is multiplied
    if any(form.axes[1:-1]) or not has(form.axes[-1:], "position") or not is_batch(form.axes[0]):
        return None
    return _contracted(form, source, form.axes[-1], weight.mT if operation.name == "linear" else weight, call)


def _contract_map(
    operation: Operation, forms: Sequence[PositionMap | None], source: int, call: int
) -> Contraction | None:
    form, weight = forms[0], constant_factor(operation, 1)
    if form is None or weight is None or any(forms[1:]) or operation.argument("transposed"):
        return None
    is_whole = tuple(weight.shape[2:]) == shape_of_axes(form.axes[2:]) and not any(operation.argument("padding"))
    if not is_whole or operation.argument("groups") != 1 or not is_batch(form.axes[0]):
        return None
    if not has(form.axes[2:], "position"):
        return None
    together = tuple(factor for axis in form.axes[1:] for factor in axis)
    return _contracted(form, source, together, weight.flatten(1).mT, call)


def _contracted(form: PositionMap, source: int, axis: Axis, weight: Tensor, call: int) -> Contraction | None:
    """Return the contraction of an axis that consists of rows and channels, with a matrix (size, features)."""
    mixing = form.mixing or starting(form, source, call)
    if mixing is None:
        return None
    if form.mixing is None:  # the tensor has no other channels, so their numbers on this axis are those of the tensor
        axis = with_numbered_channels([axis])[0]
    positions = sorted((place for place in _places(axis, "position")), key=lambda place: -axis[place].step)
    channels = sorted((place for place in _places(axis, "channel")), key=lambda place: -axis[place].step)
    if not _count_all(axis, positions) or not _count_all(axis, channels) or axis == ():
        return None
    apart = weight.detach().unflatten(0, [factor.size for factor in axis])
    ordered = apart.permute(*positions, *channels, -1)
    parts = _product(axis, positions)
    return Contraction(mixing, ordered.reshape(parts, -1, weight.shape[-1]), call)


def _places(axis: Axis, content: str) -> list[int]:
    return [place for place, factor in enumerate(axis) if factor.content == content]


def _product(axis: Axis, places: Sequence[int]) -> int:
    return shape_of_axes((tuple(axis[place] for place in places),))[0]


def _count_all(axis: Axis, places: Sequence[int]) -> bool:
    """Return whether the steps of some factors, largest first, number their elements from zero without gaps."""
    step = 1
    for place in reversed(places):
        if axis[place].step != step:
            return False
        step *= axis[place].size
    return True
