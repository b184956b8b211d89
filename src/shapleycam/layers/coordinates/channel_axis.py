"""Find the axis of the image that holds its channels: the axis that the model's first weight sums over."""

from __future__ import annotations

from torch import Tensor

from shapleycam.layers.coordinates.operation import Operation
from shapleycam.layers.coordinates.products import PRODUCTS
from shapleycam.layers.coordinates.representation import Coordinates
from shapleycam.layers.coordinates.windows import CONVOLUTIONS

_VARIES = 0.01
"""Minimum range, in pixels, of coordinates that vary."""


class ChannelAxis:
    """Watches the operations of a pass for the first convolution, or product with a weight, that reads the image.

    `axes` are the axes of the image, among the two before the height, that the weight of this operation sums over. If
    both are along the summed dimension (a patch of a video as one vector), only an axis over which it sums completely
    counts. It is None before such an operation. Axes of one element are never included.
    """

    def __init__(self, dims: int) -> None:
        self.axes: tuple[int, ...] | None = (1,) if dims == 4 else None

    def watch(self, operation: Operation) -> None:
        """Process one operation."""
        if self.axes is not None:
            return
        coordinates, dim = _summed_operand(operation)
        if coordinates is None or dim is None:
            return
        lowest, highest = coordinates.amin(dim), coordinates.amax(dim)
        summed = _varying_axes(highest - lowest)
        if len(summed) > 1:
            middle = ((lowest + highest) / 2).flatten(1)
            summed = tuple(set(summed) - set(_varying_axes(middle.amax(1) - middle.amin(1)))) or summed
        self.axes = summed


def _varying_axes(ranges: Tensor) -> tuple[int, ...]:
    """Return which of the image's two axes before the height vary, from the ranges of their coordinates."""
    return tuple(axis for axis in (1, 2) if bool((ranges[axis - 1].nan_to_num() > _VARIES).any()))


def _summed_operand(operation: Operation) -> tuple[Coordinates | None, int | None]:
    """Return the coordinates of the operand that depends on the image, and the dimension that a weight sums over."""
    if operation.name in CONVOLUTIONS:
        operand = "input" if "input" in operation.arguments else "self"
        dim = operation.arguments[operand].dim() - operation["weight"].dim() + 2
        return operation.coordinates(operand), dim
    if operation.name in PRODUCTS:
        tensors = [(name, value) for name, value in operation.arguments.items() if isinstance(value, Tensor)][-2:]
        (left, _), (right, weight) = tensors
        if operation.coordinates(right) is None:
            return operation.coordinates(left), -1
        if operation.coordinates(left) is None:
            return operation.coordinates(right), -2 if weight.dim() > 1 else -1
    return None, None
