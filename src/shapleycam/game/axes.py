"""What lies along the axes of a tensor that was computed from an activation: images, positions, channels."""

from __future__ import annotations

from math import prod
from typing import Literal, NamedTuple, TypeAlias

from torch import Tensor

from shapleycam.models.layout import Layout

Kind: TypeAlias = Literal["batch", "position", "channel"]


class Factor(NamedTuple):
    """A part of an axis: what lies along it, how many, and, for positions, how far apart in reading order they are (so
    that rows and columns are told apart).
    """

    kind: Kind
    size: int
    step: int


Axis: TypeAlias = tuple[Factor, ...]
"""An axis of a tensor as the factors of its size, outermost first; none for an axis of size 1."""


def axes_of(layout: Layout, shape: tuple[int, ...]) -> tuple[Axis, ...]:
    """The axes of an activation of this layout and shape."""
    places: list[Kind] = ["position"] * (len(shape) - 2)
    order: list[Kind] = ["batch", "channel", *places] if layout.channels_first else ["batch", *places, "channel"]
    axes, step = [], 1
    for kind, size in zip(reversed(order), reversed(shape), strict=True):
        axes.append(axis_of(kind, size, step if kind == "position" else 0))
        step *= size if kind == "position" else 1
    return tuple(reversed(axes))


def axis_of(kind: Kind, size: int, step: int = 0) -> Axis:
    """An axis of one factor."""
    return (Factor(kind, size, step),) if size > 1 else ()


def shape_of(axes: tuple[Axis, ...]) -> tuple[int, ...]:
    """The sizes of axes."""
    return tuple(prod(factor.size for factor in axis) for axis in axes)


def mixes(axes: tuple[Axis, ...]) -> bool:
    """Whether positions, or images, are along these axes."""
    return any(factor.kind != "channel" for axis in axes for factor in axis)


def same_everywhere(constant: Tensor | None, axes: tuple[Axis, ...]) -> bool:
    """Whether a constant operand broadcasts over all positions."""
    if constant is None or constant.dim() > len(axes):
        return False
    aligned = axes[len(axes) - constant.dim() :]
    return all(size == 1 or not mixes((axis,)) for size, axis in zip(constant.shape, aligned, strict=True))


def regrouped(factors: list[Factor], shape: tuple[int, ...]) -> tuple[Axis, ...] | None:
    """The same factors, outermost first, along the axes of another shape; None where one would be cut across."""
    axes = []
    for size in shape:
        axis: list[Factor] = []
        wanted = size
        while wanted > 1:
            if not factors:
                return None
            kind, there, step = factors.pop(0)
            taken = min(there, wanted)
            if wanted % taken or there % taken:
                return None
            axis.append(Factor(kind, taken, step * (there // taken)))
            wanted //= taken
            if there > taken:
                factors.insert(0, Factor(kind, there // taken, step))
        axes.append(_merged(axis))
    return None if factors else tuple(axes)


def _merged(axis: list[Factor]) -> Axis:
    """Neighbours that were split from one factor, or lie as if they were, as one again."""
    merged: list[Factor] = []
    for factor in axis:
        before = merged[-1] if merged else None
        if before and before.kind == factor.kind and before.step == factor.size * factor.step:
            merged[-1] = Factor(factor.kind, before.size * factor.size, factor.step)
        else:
            merged.append(factor)
    return tuple(merged)
