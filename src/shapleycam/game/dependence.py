"""How a tensor of the head depends on the activation, as far as the proof of a structure follows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from shapleycam.game.axes import Axis


@dataclass(frozen=True)
class BeforeMean:
    """A tensor that still has positions: `axes` are its axes, and each position depends on its own content alone.

    `linear`: it is an affine function of this content.
    """

    axes: tuple[Axis, ...]
    linear: bool = True


@dataclass(frozen=True)
class AfterMean:
    """A tensor computed from means over positions of what each became by itself.

    `linear_before`: each position's part was affine in its content, so that the tensor is a function of the
    activation's mean. `affine`: everything since the mean is affine, so that the tensor is a sum over positions.
    """

    linear_before: bool
    affine: bool = True


CONSTANT: Final = None
"""The form of a tensor that does not depend on the activation."""
UNKNOWN: Final = "unknown"
"""The form of a tensor that may look at several positions together."""
Form: TypeAlias = "BeforeMean | AfterMean | Literal['unknown'] | None"
"""How a tensor depends on the activation."""
