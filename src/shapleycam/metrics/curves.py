"""Metrics of the score's curve as pixels are exchanged step by step."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from shapleycam.metrics.confidence import area_under
from shapleycam.metrics.flatness import has_same_heat, lost_the_same
from shapleycam.metrics.maps import Score

Curve = Float[Tensor, "b points"]
Steps = Float[Tensor, "b steps"]


def relevance_gain(preservation_curve: Curve, deletion_curve: Curve) -> Score:
    """Return the area between two curves: removal of the smallest heat first less removal of the largest first."""
    return area_under(preservation_curve) - area_under(deletion_curve)


def quality_gap(curve: Curve, inverse_curve: Curve) -> Score:
    """Return the area under the map's curve less that of the inverse map, which has all ranks reversed."""
    return area_under(curve) - area_under(inverse_curve)


def deletion_correlation(step_heat: Steps, deletion_curve: Curve) -> Score:
    """Return Pearson's correlation of each step's mean heat with the score's decrease by its removal.

    NaN where all steps have equal heat or equal decreases, up to rounding.
    """
    return _correlation(step_heat, deletion_curve, -1)


def insertion_correlation(step_heat: Steps, insertion_curve: Curve) -> Score:
    """Return Pearson's correlation of each step's mean heat with the increase by its insertion; NaN likewise."""
    return _correlation(step_heat, insertion_curve, 1)


def _correlation(step_heat: Steps, curve: Curve, sign: int) -> Score:
    changes = sign * curve.diff(dim=1)
    is_flat = has_same_heat(step_heat) | lost_the_same(changes, curve)
    first, second = (steps.double() - steps.double().mean(1, keepdim=True) for steps in (step_heat, changes))
    correlation = (first * second).sum(1) / (first.norm(dim=1) * second.norm(dim=1))
    return torch.where(is_flat, torch.nan, correlation.clamp(-1, 1))
