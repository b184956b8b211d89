"""Metrics of the sparseness of non-negative heatmaps (b, h, w)."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from shapleycam.metrics.maps import Maps, Score

_NEGLIGIBLE = 1e-5
"""Pixels below this share of the maximum count as zero, as in Quantus."""


def gini(heatmap: Maps) -> Score:
    """Return the Gini index Σ (2i - n - 1) M_(i) / (n Σ M), where M_(1) is the smallest pixel.

    It is 0 for a constant map, near 1 for a map with one bright pixel, and NaN for a map of zeros.
    """
    pixels: Float[Tensor, "b n"] = heatmap.flatten(1).double().sort(dim=1).values
    n = pixels.shape[1]
    weight = 2 * torch.arange(1, n + 1, device=pixels.device, dtype=pixels.dtype) - n - 1
    return (pixels * weight).sum(1) / (n * pixels.sum(1))


def sparsity(heatmap: Maps) -> Score:
    """Return max M / mean M; NaN for a map of zeros."""
    pixels = heatmap.flatten(1)
    return pixels.amax(1) / pixels.mean(1)


def effective_complexity(heatmap: Maps) -> Score:
    """Return the fraction of pixels above 1e-5 of the maximum; NaN for a map of zeros."""
    pixels = heatmap.flatten(1)
    largest = pixels.amax(1, keepdim=True)
    share = (pixels > _NEGLIGIBLE * largest).double().mean(1)
    return share.where(largest.squeeze(1) > 0, torch.nan)
