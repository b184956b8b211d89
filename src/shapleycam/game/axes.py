"""The contents of the axes of a tensor that was computed from an activation: images, positions or channels.

Operations split and merge axes (a flatten, a reshape into windows). An axis is therefore described as a product of
factors, which are followed through the head's operations.
"""

from __future__ import annotations

from math import prod
from typing import Literal, NamedTuple, TypeAlias

from torch import Tensor

from shapleycam.models.layout import Layout

AxisContent: TypeAlias = Literal["batch", "position", "channel", "key"]
"""A key is a position along the axis of attention scores over which the softmax is taken."""


class AxisFactor(NamedTuple):
    """A factor of an axis: its content, its size, and the distance between neighbours in reading order.

    The `step` (0 for images and channels) distinguishes rows from columns, which have equal sizes on a square map.
    Without it a + aᵀ would count as a residual connection (docs/decisions.md, "Signs that an axis belongs to positions
    carry its step").
    """

    content: AxisContent
    size: int
    step: int


Axis: TypeAlias = tuple[AxisFactor, ...]
"""An axis of a tensor as a product of factors, the outermost first; empty for an axis of size 1."""


def axes_of_activation(layout: Layout, shape: tuple[int, ...]) -> tuple[Axis, ...]:
    """Return the axes of an activation of this layout and shape."""
    positions: list[AxisContent] = ["position"] * (len(shape) - 2)
    contents: list[AxisContent] = (
        ["batch", "channel", *positions] if layout.channels_first else ["batch", *positions, "channel"]
    )
    axes, step = [], 1
    for content, size in zip(reversed(contents), reversed(shape), strict=True):
        axes.append(make_axis(content, size, step if content == "position" else 0))
        step *= size if content == "position" else 1
    return tuple(reversed(axes))


def make_axis(content: AxisContent, size: int, step: int = 0) -> Axis:
    """Return an axis with a single factor, or the empty axis for size 1."""
    return (AxisFactor(content, size, step),) if size > 1 else ()


def shape_of_axes(axes: tuple[Axis, ...]) -> tuple[int, ...]:
    """Return the sizes of axes."""
    return tuple(prod(factor.size for factor in axis) for axis in axes)


def have_positions_or_images(axes: tuple[Axis, ...]) -> bool:
    """Return whether any of these axes has a factor of positions or images."""
    return any(factor.content != "channel" for axis in axes for factor in axis)


def is_same_at_all_positions(constant: Tensor | None, axes: tuple[Axis, ...]) -> bool:
    """Return whether a constant operand broadcasts over all positions and images."""
    if constant is None or constant.dim() > len(axes):
        return False
    aligned = axes[len(axes) - constant.dim() :]
    return all(
        size == 1 or not have_positions_or_images((axis,)) for size, axis in zip(constant.shape, aligned, strict=True)
    )


def reshape_axes(axes: tuple[Axis, ...], shape: tuple[int, ...]) -> tuple[Axis, ...] | None:
    """Return the axes after a reshape; None if a factor cannot be split to fit the new shape.

    A reshape keeps the order of the numbers, and so of the factors. They are assigned to the new axes one after the
    other; a factor that is larger than the rest of an axis is split in two.
    """
    factors = [factor for axis in axes for factor in axis]
    reshaped = []
    for size in shape:
        axis: list[AxisFactor] = []
        remaining = size
        while remaining > 1:
            if not factors:
                return None
            content, factor_size, step = factors.pop(0)
            taken = min(factor_size, remaining)
            if remaining % taken or factor_size % taken:
                return None
            axis.append(AxisFactor(content, taken, step * (factor_size // taken)))
            remaining //= taken
            if factor_size > taken:
                factors.insert(0, AxisFactor(content, factor_size // taken, step))
        reshaped.append(_merge_neighbours(axis))
    return None if factors else tuple(reshaped)


def _merge_neighbours(axis: list[AxisFactor]) -> Axis:
    """Merge neighbouring factors that were split from one factor, or are contiguous as if they were."""
    merged: list[AxisFactor] = []
    for factor in axis:
        last = merged[-1] if merged else None
        if last and last.content == factor.content and last.step == factor.size * factor.step:
            merged[-1] = AxisFactor(factor.content, last.size * factor.size, factor.step)
        else:
            merged.append(factor)
    return tuple(merged)
