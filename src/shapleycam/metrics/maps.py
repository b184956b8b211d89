"""Metrics of heatmaps (b, h, w): their complexity, the similarity of two maps, and the overlap with objects."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torchvision.transforms.functional import gaussian_blur

Maps = Float[Tensor, "b h w"]
Score = Float[Tensor, " b"]
_ROUNDING = 1e-6
"""Values below this share of the largest absolute value count as zero."""


def complexity(heatmap: Maps) -> Score:
    """Return the mean over pixels."""
    return heatmap.mean((1, 2))


def coherency(heatmap: Maps, kept_heatmap: Maps) -> Score:
    """Return (Pearson(M, CAM(x·M)) + 1) / 2; 0 if one of the two maps is constant."""
    first, second = (maps.flatten(1) - maps.flatten(1).mean(1, keepdim=True) for maps in (heatmap, kept_heatmap))
    correlation = (first * second).sum(1) / (first.norm(dim=1) * second.norm(dim=1))
    return torch.where(is_constant(heatmap) | is_constant(kept_heatmap), 0.0, (correlation.clamp(-1, 1) + 1) / 2)


def is_constant(heatmap: Maps) -> Bool[Tensor, " b"]:
    """Return which maps have the same value everywhere."""
    pixels = heatmap.flatten(1)
    return pixels.amin(1) == pixels.amax(1)


def pointing_game(heatmap: Maps, objects: Bool[Tensor, "b h w"], tolerance: Float[Tensor, ""]) -> Score:
    """Return 1 if the (first) maximum is within `tolerance` pixels of an object, otherwise 0.

    It is 0 for a constant map, and NaN for an image without objects.
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
    """Return the share of the K hottest pixels that lie on the objects, which have K pixels.

    If only some of equally hot pixels are among the K (for example in a map with fewer than K nonzero pixels), it is
    the mean over all choices of these. NaN for an image without objects.
    """
    pixels, on_object = heatmap.flatten(1), objects.flatten(1)
    count = on_object.sum(1)
    ordered = pixels.sort(dim=1, descending=True).values
    weakest = ordered.gather(1, (count - 1).clamp(min=0)[:, None])  # of the K strongest
    stronger, level = pixels > weakest, pixels == weakest
    chosen = (count - stronger.sum(1)) / level.sum(1)
    return ((stronger & on_object).sum(1) + chosen * (level & on_object).sum(1)) / count


def relevance_mass(values: Float[Tensor, "b rows columns"], objects: Bool[Tensor, "b h w"]) -> Score:
    """Return the share of the positive values that lies on the objects.

    The value of a position is spread evenly over its part of the image. Values below a millionth of the largest
    absolute value are rounding and count as zero. NaN for an image without objects or without positive values.
    """
    sizes = values.double()
    positive = torch.where(sizes > _ROUNDING * sizes.abs().amax((1, 2), keepdim=True), sizes, 0.0)
    sides = zip(values.shape[1:], objects.shape[1:], strict=True)
    rows, columns = (_pixels_of_positions(*side, values.device) for side in sides)
    covered = rows @ objects.double() @ columns.T  # of each position, as a share of its part of the image
    share = (positive * covered).sum((1, 2)) / positive.sum((1, 2))
    return torch.where(objects.flatten(1).any(1), share, torch.nan)


def _pixels_of_positions(positions: int, pixels: int, device: torch.device) -> Float[Tensor, "positions pixels"]:
    """Return, along one side of the image, the weight of each pixel in each position; a position's weights sum to 1."""
    edges = torch.arange(positions + 1, dtype=torch.float64, device=device) * pixels / positions
    start = torch.arange(pixels, dtype=torch.float64, device=device)
    overlap = torch.minimum(edges[1:, None], start + 1) - torch.maximum(edges[:-1, None], start)
    return overlap.clamp(min=0) * positions / pixels


def ssim(first: Maps, second: Maps) -> Score:
    """Return the structural similarity of maps on [0, 1]: Gaussian windows of 11 pixels, σ 1.5 (Wang 2004)."""

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
