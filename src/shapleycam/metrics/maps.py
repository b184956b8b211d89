"""Of heatmaps themselves: how small they are, how alike two are, where they point. Maps are (b, h, w)."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torchvision.transforms.functional import gaussian_blur

Maps = Float[Tensor, "b h w"]
Score = Float[Tensor, " b"]


def complexity(heatmap: Maps) -> Score:
    """The mean over pixels."""
    return heatmap.mean((1, 2))


def coherency(heatmap: Maps, kept_heatmap: Maps) -> Score:
    """(Pearson(M, CAM(x·M)) + 1) / 2; 0 where one of the two is constant and has no correlation."""
    one, other = (maps.flatten(1) - maps.flatten(1).mean(1, keepdim=True) for maps in (heatmap, kept_heatmap))
    correlation = (one * other).sum(1) / (one.norm(dim=1) * other.norm(dim=1))
    return torch.where(constant(heatmap) | constant(kept_heatmap), 0.0, (correlation.clamp(-1, 1) + 1) / 2)


def constant(heatmap: Maps) -> Bool[Tensor, " b"]:
    """Which maps are the same everywhere."""
    places = heatmap.flatten(1)
    return places.amin(1) == places.amax(1)


def pointing_game(heatmap: Maps, objects: Bool[Tensor, "b h w"], tolerance: Float[Tensor, ""]) -> Score:
    """1 where the (first) maximum lies within `tolerance` pixels of an object, 0 elsewhere and for a constant map.

    NaN where the image has no object.
    """
    height, width = heatmap.shape[1:]
    top = heatmap.flatten(1).argmax(1)
    rows = torch.arange(height, device=heatmap.device)[None, :, None] - (top // width)[:, None, None]
    columns = torch.arange(width, device=heatmap.device)[None, None, :] - (top % width)[:, None, None]
    near = rows.square() + columns.square() <= tolerance.square()
    hit = (near & objects).flatten(1).any(1) & ~constant(heatmap)
    return torch.where(objects.flatten(1).any(1), hit.to(heatmap), torch.nan)


def energy_pointing(heatmap: Maps, objects: Bool[Tensor, "b h w"]) -> Score:
    """Σ M inside the objects / Σ M; NaN where the image has no object, or the map is zero."""
    share = (heatmap * objects).sum((1, 2)) / heatmap.sum((1, 2))
    return torch.where(objects.flatten(1).any(1), share, torch.nan)


def ssim(one: Maps, other: Maps) -> Score:
    """Structural similarity of maps on [0, 1]: Gaussian windows of 11 pixels, σ 1.5 (Wang 2004)."""

    def local_mean(maps: Maps) -> Maps:
        found: Tensor = gaussian_blur(maps[:, None], [11, 11], [1.5, 1.5])[:, 0]
        return found

    mean, mean_other = local_mean(one), local_mean(other)
    variance = local_mean(one * one) - mean * mean
    variance_other = local_mean(other * other) - mean_other * mean_other
    covariance = local_mean(one * other) - mean * mean_other
    light = (2 * mean * mean_other + 0.01**2) / (mean.square() + mean_other.square() + 0.01**2)
    structure = (2 * covariance + 0.03**2) / (variance + variance_other + 0.03**2)
    return (light * structure).mean((1, 2))
