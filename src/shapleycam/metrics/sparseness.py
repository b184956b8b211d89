"""Metrics of how few pixels a heatmap needs; maps are (b, h, w), 0 or more."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from shapleycam.metrics.maps import Maps, Score

_NEGLIGIBLE = 1e-5
"""Pixels below this share of the maximum count as zero, as in Quantus."""


def gini(heatmap: Maps) -> Score:
    """Return the Gini index Σ (2i - n - 1) M_(i) / (n Σ M), M_(1) the smallest: 0 for an even map, near 1 for a point.

    NaN where the map is zero.
    """
    pixels: Float[Tensor, "b n"] = heatmap.flatten(1).double().sort(dim=1).values
    n = pixels.shape[1]
    weight = 2 * torch.arange(1, n + 1, device=pixels.device, dtype=pixels.dtype) - n - 1
    return (pixels * weight).sum(1) / (n * pixels.sum(1))


def sparsity(heatmap: Maps) -> Score:
    """Return max M / mean M; NaN where the map is zero."""
    pixels = heatmap.flatten(1)
    return pixels.amax(1) / pixels.mean(1)


def effective_complexity(heatmap: Maps) -> Score:
    """Return the share of pixels above 1e-5 of the maximum; NaN where the map is zero, which shows nothing at all."""
    pixels = heatmap.flatten(1)
    largest = pixels.amax(1, keepdim=True)
    share = (pixels > _NEGLIGIBLE * largest).double().mean(1)
    return share.where(largest.squeeze(1) > 0, torch.nan)
