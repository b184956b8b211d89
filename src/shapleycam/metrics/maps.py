"""Metrics of maps (b, h, w) that need no scores: their size, their similarity, and the objects that they point to."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torchvision.transforms.functional import gaussian_blur

Maps = Float[Tensor, "b h w"]
Score = Float[Tensor, " b"]
_ROUNDING = 1e-6
"""Relative tolerance: values below this share of the largest absolute value count as zero."""


def complexity(heatmap: Maps) -> Score:
    """Return the mean of each map over its pixels."""
    return heatmap.mean((1, 2))


def coherency(heatmap: Maps, kept_heatmap: Maps) -> Score:
    """Return (Pearson(M, CAM(x·M)) + 1) / 2; 0 where one of the maps is constant and has no correlation."""
    first, second = (maps.flatten(1) - maps.flatten(1).mean(1, keepdim=True) for maps in (heatmap, kept_heatmap))
    correlation = (first * second).sum(1) / (first.norm(dim=1) * second.norm(dim=1))
    return torch.where(is_constant(heatmap) | is_constant(kept_heatmap), 0.0, (correlation.clamp(-1, 1) + 1) / 2)


def is_constant(heatmap: Maps) -> Bool[Tensor, " b"]:
    """Return for each map whether it has the same value at all pixels."""
    pixels = heatmap.flatten(1)
    return pixels.amin(1) == pixels.amax(1)


def pointing_game(heatmap: Maps, objects: Bool[Tensor, "b h w"], tolerance: Float[Tensor, ""]) -> Score:
    """Return 1 for a map whose (first) maximum lies within `tolerance` pixels of an object, otherwise 0.

    0 for a constant map; NaN for an image without objects.
    """
    height, width = heatmap.shape[1:]
    maximum = heatmap.flatten(1).argmax(1)
    rows = torch.arange(height, device=heatmap.device)[None, :, None] - (maximum // width)[:, None, None]
    columns = torch.arange(width, device=heatmap.device)[None, None, :] - (maximum % width)[:, None, None]
    near = rows.square() + columns.square() <= tolerance.square()
    hit = (near & objects).flatten(1).any(1) & ~is_constant(heatmap)
    return torch.where(objects.flatten(1).any(1), hit.to(heatmap), torch.nan)


def energy_pointing(heatmap: Maps, objects: Bool[Tensor, "b h w"]) -> Score:
    """Return Σ M inside the objects / Σ M; NaN for an image without objects, or a map of zeros."""
    fraction = (heatmap * objects).sum((1, 2)) / heatmap.sum((1, 2))
    return torch.where(objects.flatten(1).any(1), fraction, torch.nan)


def relevance_rank(heatmap: Maps, objects: Bool[Tensor, "b h w"]) -> Score:
    """Return the fraction of the K strongest pixels that lie on the objects, where K is the objects' number of pixels.

    If pixels with the same heat are tied for the last of the K ranks, the result is the mean over all choices among
    them; for example, a map may have fewer than K pixels with any heat. NaN for an image without objects.
    """
    pixels, on_object = heatmap.flatten(1), objects.flatten(1)
    count = on_object.sum(1)
    ordered = pixels.sort(dim=1, descending=True).values
    weakest = ordered.gather(1, (count - 1).clamp(min=0)[:, None])  # the weakest of the K strongest pixels
    stronger, tied = pixels > weakest, pixels == weakest
    chosen_fraction = (count - stronger.sum(1)) / tied.sum(1)
    return ((stronger & on_object).sum(1) + chosen_fraction * (tied & on_object).sum(1)) / count


def relevance_mass(values: Float[Tensor, "b rows columns"], objects: Bool[Tensor, "b h w"]) -> Score:
    """Return the fraction of the sum of positive values that lies on the objects.

    The value of a position is distributed evenly over its cell of the image, without interpolation between cells.
    Values below a millionth of the largest absolute value are rounding errors, and count as zero. NaN for an image
    without objects, or without positive values.
    """
    precise = values.double()
    positive = torch.where(precise > _ROUNDING * precise.abs().amax((1, 2), keepdim=True), precise, 0.0)
    sides = zip(values.shape[1:], objects.shape[1:], strict=True)
    rows, columns = (_pixels_of_positions(*side, values.device) for side in sides)
    covered = rows @ objects.double() @ columns.T  # the fraction of each position's cell that objects cover
    fraction = (positive * covered).sum((1, 2)) / positive.sum((1, 2))
    return torch.where(objects.flatten(1).any(1), fraction, torch.nan)


def _pixels_of_positions(positions: int, pixels: int, device: torch.device) -> Float[Tensor, "positions pixels"]:
    """Return, along one side of the image, the fraction of each position's cell that each pixel makes up.

    The fractions of a position sum to 1.
    """
    edges = torch.arange(positions + 1, dtype=torch.float64, device=device) * pixels / positions
    start = torch.arange(pixels, dtype=torch.float64, device=device)
    overlap = torch.minimum(edges[1:, None], start + 1) - torch.maximum(edges[:-1, None], start)
    return overlap.clamp(min=0) * positions / pixels


def ssim(first: Maps, second: Maps) -> Score:
    """Return the structural similarity of maps in [0, 1], with Gaussian windows of 11 pixels and σ 1.5 (Wang 2004)."""

    def local_mean(maps: Maps) -> Maps:
        blurred: Tensor = gaussian_blur(maps[:, None], [11, 11], [1.5, 1.5])[:, 0]
        return blurred

    mean_1, mean_2 = local_mean(first), local_mean(second)
    variance_1 = local_mean(first * first) - mean_1 * mean_1
    variance_2 = local_mean(second * second) - mean_2 * mean_2
    covariance = local_mean(first * second) - mean_1 * mean_2
    luminance = (2 * mean_1 * mean_2 + 0.01**2) / (mean_1.square() + mean_2.square() + 0.01**2)
    structure = (2 * covariance + 0.03**2) / (variance_1 + variance_2 + 0.03**2)
    return (luminance * structure).mean((1, 2))
