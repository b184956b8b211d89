"""Metrics of the class score's change when content is kept or removed by heat; arguments are scores (b,) or curves."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

Score = Float[Tensor, " b"]


def average_drop(score: Score, kept_score: Score) -> Score:
    """Return max(0, s - s(x·M)) / s; NaN where s is 0."""
    return (score - kept_score).clamp(min=0) / score


def increase_in_confidence(score: Score, kept_score: Score) -> Score:
    """Return 1 where s(x·M) > s, otherwise 0."""
    return (kept_score > score).to(score)


def average_drop_in_deletion(score: Score, removed_score: Score) -> Score:
    """Return max(0, s - s(x·(1 - M))) / s; NaN where s is 0."""
    return (score - removed_score).clamp(min=0) / score


def insertion(curve: Float[Tensor, "b steps"]) -> Score:
    """Return the area under s as pixels are added to a blurred image, largest heat first, by the trapezoid rule."""
    return area_under(curve)


def deletion(curve: Float[Tensor, "b steps"]) -> Score:
    """Return the area under s as pixels are removed from the image, largest heat first, by the trapezoid rule."""
    return area_under(curve)


def area_under(curve: Float[Tensor, "b steps"]) -> Score:
    """Return the area under a curve by the trapezoid rule; its points are equally spaced from 0 to 1."""
    return torch.trapezoid(curve, dx=1 / (curve.shape[1] - 1), dim=1)


def road(least_first: Float[Tensor, "b percentiles"], most_first: Float[Tensor, "b percentiles"]) -> Score:
    """Return (s_LeRF - s_MoRF) / 2, the mean over percentiles."""
    return ((least_first - most_first) / 2).mean(1)


def adcc(coherency: Score, complexity: Score, average_drop: Score) -> Score:
    """Return 3 / (1/Coh + 1/(1 - Com) + 1/(1 - AD)) of each image; 0 where one of the three is 0."""
    return _harmonic_mean(coherency, 1 - complexity, 1 - average_drop)


def arcc(coherency: Score, complexity: Score, road: Score) -> Score:
    """Return the harmonic mean of Coh, 1 - Com and 2·ROAD clipped to [0, 1]; 0 where one of the three is 0."""
    return _harmonic_mean(coherency, 1 - complexity, (2 * road).clamp(0, 1))


def _harmonic_mean(*parts: Score) -> Score:
    """Return the harmonic mean of parts that are 0 or more: 0 where one is 0, NaN where one is NaN."""
    stacked = torch.stack(parts)
    mean = len(parts) / stacked.reciprocal().sum(0)
    return torch.where((stacked == 0).any(0) & ~stacked.isnan().any(0), 0.0, mean)
