"""Metrics of the curve of scores as pixels are exchanged step by step."""

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
    """Return the area under the curve that removes the smallest heat first, minus that for the largest heat first."""
    return area_under(preservation_curve) - area_under(deletion_curve)


def quality_gap(curve: Curve, inverse_curve: Curve) -> Score:
    """Return the area under the map's curve minus that for the inverse map, whose ranks are reversed."""
    return area_under(curve) - area_under(inverse_curve)


def deletion_correlation(step_heat: Steps, deletion_curve: Curve) -> Score:
    """Return Pearson's correlation, over steps, between a step's mean heat and the score lost by its removal.

    NaN where all steps have the same heat, or all losses are equal, up to rounding.
    """
    return _correlation(step_heat, deletion_curve, -1)


def insertion_correlation(step_heat: Steps, insertion_curve: Curve) -> Score:
    """Return Pearson's correlation, over steps, between a step's mean heat and the score gained by its insertion.

    NaN where all steps have the same heat, or all gains are equal, up to rounding.
    """
    return _correlation(step_heat, insertion_curve, 1)


def _correlation(step_heat: Steps, curve: Curve, sign: int) -> Score:
    changes = sign * curve.diff(dim=1)
    is_flat = has_same_heat(step_heat) | lost_the_same(changes, curve)
    first, second = (steps.double() - steps.double().mean(1, keepdim=True) for steps in (step_heat, changes))
    correlation = (first * second).sum(1) / (first.norm(dim=1) * second.norm(dim=1))
    return torch.where(is_flat, torch.nan, correlation.clamp(-1, 1))
