"""Which axis of the image holds its channels: the one that the first weight sums over."""

from __future__ import annotations

from torch import Tensor

from shapleycam.layers.coordinates.arguments import Operation
from shapleycam.layers.coordinates.places import Places
from shapleycam.layers.coordinates.products import PRODUCTS
from shapleycam.layers.coordinates.windows import CONVOLUTIONS

_VARIES = 0.01


class ChannelAxis:
    """Watches the operations of a pass for the first convolution, or product with a weight, that reads the image.

    `axes` are then the axes of the image, among the two before the height, that lie along the dimension which it sums
    over; of two that do (a patch of a video as one vector) those of which it sums over all. None before there was one.
    Those of one element lie along every dimension, so they are not among them.
    """

    def __init__(self, dims: int) -> None:
        self.axes: tuple[int, ...] | None = (1,) if dims == 4 else None

    def watch(self, operation: Operation) -> None:
        """Look at one operation."""
        if self.axes is not None:
            return
        places, dim = _summed(operation)
        if places is None or dim is None:
            return
        lowest, highest = places.amin(dim), places.amax(dim)
        summed = _varies(highest - lowest)
        if len(summed) > 1:
            middle = ((lowest + highest) / 2).flatten(1)
            summed = tuple(set(summed) - set(_varies(middle.amax(1) - middle.amin(1)))) or summed
        self.axes = summed


def _varies(ranges: Tensor) -> tuple[int, ...]:
    """Which of the two axes of the image before the height vary, from how far their coordinates lie apart."""
    return tuple(axis for axis in (1, 2) if bool((ranges[axis - 1].nan_to_num() > _VARIES).any()))


def _summed(operation: Operation) -> tuple[Places | None, int | None]:
    """The operand that depends on the image, and the dimension of its places that a weight sums over."""
    if operation.name in CONVOLUTIONS:
        operand = "input" if "input" in operation.arguments else "self"
        return operation.places(operand), operation.arguments[operand].dim() - operation["weight"].dim() + 2
    if operation.name in PRODUCTS:
        sides = [(name, value) for name, value in operation.arguments.items() if isinstance(value, Tensor)][-2:]
        (left, _), (right, weight) = sides
        if operation.places(right) is None:
            return operation.places(left), -1
        if operation.places(left) is None:
            return operation.places(right), -2 if weight.dim() > 1 else -1
    return None, None
