"""Tests for numbers that are equal up to rounding; a correlation with their differences would measure only rounding."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

ROUNDINGS = 10
"""Tolerance: differences of scores up to this multiple of machine epsilon times the largest score count as zero."""
_SAME_HEAT = 1e-9
"""Tolerance relative to the largest heat; sums and means of equal heat, in float64, differ by less."""


def lost_nothing(losses: Float[Tensor, "b m"], scores: Float[Tensor, "b *points"]) -> Bool[Tensor, " b"]:
    """Return for which images all losses, which are differences of these scores, are zero up to rounding.

    Examples:
        >>> import torch
        >>> from shapleycam.metrics.flatness import lost_nothing
        >>> lost_nothing(torch.tensor([[0.0, 1e-7], [0.0, 1e-3]]), torch.tensor([0.9, 0.9]))
        tensor([ True, False])
    """
    return losses.abs().amax(1) <= _rounding(scores)


def lost_the_same(losses: Float[Tensor, "b m"], scores: Float[Tensor, "b *points"]) -> Bool[Tensor, " b"]:
    """Return for which images all losses, which are differences of these scores, are equal up to rounding."""
    return losses.amax(1) - losses.amin(1) <= _rounding(scores)


def has_same_heat(heat: Float[Tensor, "b m"]) -> Bool[Tensor, " b"]:
    """Return for which maps all sums or means of heat or values are equal up to rounding in float64."""
    return heat.amax(1) - heat.amin(1) <= _SAME_HEAT * heat.abs().amax(1)


def _rounding(scores: Float[Tensor, "b *points"]) -> Float[Tensor, " b"]:
    rounding: Tensor = ROUNDINGS * torch.finfo(scores.dtype).eps * scores.abs().reshape(len(scores), -1).amax(1)
    return rounding
