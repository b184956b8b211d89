"""Metrics that compare what parts of the map promise with what the score loses when each part is removed alone."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import interpolate

from shapleycam.metrics.flatness import has_same_heat, lost_nothing, lost_the_same
from shapleycam.metrics.maps import Maps, Score
from shapleycam.metrics.masking import Content, Images
from shapleycam.metrics.removal import rank_pixels
from shapleycam.values.distance import rank_correlation

Parts = Float[Tensor, "b parts"]
Labels = Int[Tensor, "#b h w"]
"""The part of each pixel, from 0."""


def rank_groups(heatmap: Maps, groups: int) -> Int[Tensor, "b h w"]:
    """Return equally many pixels in each group, those of the largest heat in group 0."""
    return rank_pixels(heatmap, most_first=True) * groups // heatmap[0].numel()


def grid_patches(height: int, width: int, grid: int, device: torch.device) -> Int[Tensor, "1 h w"]:
    """Return grid · grid patches, in reading order."""
    rows = torch.arange(height, device=device) * grid // height
    columns = torch.arange(width, device=device) * grid // width
    return (rows[:, None] * grid + columns)[None]


def without_each(images: Images, labels: Labels, parts: int, content: Content | float) -> Iterator[Images]:
    """Yield the images with one part after the other replaced by `content`."""
    standing_in = torch.as_tensor(content, device=images.device, dtype=images.dtype)
    for part in range(parts):
        yield torch.where((labels == part)[:, None], standing_in, images)


def sums_of_parts(maps: Maps, labels: Labels, parts: int) -> Parts:
    """Return the sum of the map over each part."""
    members = labels.expand(len(maps), -1, -1).flatten(1)
    return maps.new_zeros(len(maps), parts).scatter_add_(1, members, maps.flatten(1))


def means_of_parts(maps: Maps, labels: Labels, parts: int) -> Parts:
    """Return the mean of the map over each part, in float64."""
    pixels = sums_of_parts(torch.ones_like(maps, dtype=torch.float64), labels, parts)
    return sums_of_parts(maps.double(), labels, parts) / pixels


def resize_values(values: Maps, height: int, width: int) -> Maps:
    """Return signed values at the size of the image, bilinear; their sums over parts keep their proportions."""
    return interpolate(values[:, None], (height, width), mode="bilinear", align_corners=False)[:, 0]


def saco(group_heat: Parts, score: Score, group_scores: Parts) -> Score:
    """Return the salience-guided faithfulness coefficient, within [-1, 1].

    Of each two groups the one with more heat should take more from the score: their difference of heat counts as
    positive where it does, as negative where it does not, and the sum is divided by that of all differences. NaN where
    all groups have the same heat, or take the same from the score, up to rounding.
    """
    drops = score[:, None] - group_scores
    first, second = torch.triu_indices(drops.shape[1], drops.shape[1], offset=1, device=drops.device)
    weight = (group_heat[:, first] - group_heat[:, second]).double()
    sign = torch.where(drops[:, first] >= drops[:, second], 1.0, -1.0)
    says_nothing = has_same_heat(group_heat) | lost_the_same(drops, score)
    return torch.where(says_nothing, torch.nan, (sign * weight).sum(1) / weight.abs().sum(1))


def single_deletion(patch_values: Parts, score: Score, patch_scores: Parts) -> Score:
    """Return Spearman's correlation of patches' values with what the score loses without each.

    NaN where all values are equal, or all losses, up to rounding.
    """
    losses = score[:, None] - patch_scores
    says_nothing = has_same_heat(patch_values) | lost_the_same(losses, score)
    return torch.where(says_nothing, torch.nan, rank_correlation(patch_values, losses))


def infidelity(patch_values: Parts, score: Score, patch_scores: Parts) -> Score:
    """Return the mean of (β·φ(patch) - drop)² over that of drop², β the scale that makes it least; NaN without a drop.

    0 where values are proportional to what the score loses, 1 where they say nothing of it. A drop that rounding makes
    is none.
    """
    values, drops = patch_values.double(), (score[:, None] - patch_scores).double()
    squares = values.square().sum(1)
    scale = torch.where(squares == 0, 0.0, (values * drops).sum(1) / squares)
    error = (scale[:, None] * values - drops).square().sum(1) / drops.square().sum(1)
    return torch.where(lost_nothing(drops, score), torch.nan, error)
