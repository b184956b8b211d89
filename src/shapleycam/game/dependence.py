"""The forms of a head's tensors: their dependence on the activation, as the proof of a structure tracks it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from shapleycam.game.axes import Axis


@dataclass(frozen=True)
class BeforeMean:
    """A tensor with positions, each of which depends only on the same position of the activation.

    Attributes:
        axes: the axes of the tensor.
        linear: whether each position is an affine function of the activation there.
    """

    axes: tuple[Axis, ...]
    linear: bool = True


@dataclass(frozen=True)
class AfterMean:
    """A tensor that is computed from means over positions, where each position was processed separately.

    Attributes:
        linear_before: whether each position was an affine function of the activation there before the mean. The tensor
            is then a function of the activation's mean.
        affine: whether all operations since the mean are affine. The tensor is then a sum over positions.
    """

    linear_before: bool
    affine: bool = True


CONSTANT: Final = None
"""The form of a tensor that does not depend on the activation."""
UNKNOWN: Final = "unknown"
"""The form of a tensor that may depend on several positions in any other way."""
Form: TypeAlias = "BeforeMean | AfterMean | Literal['unknown'] | None"
"""How a tensor depends on the activation."""
