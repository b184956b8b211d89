"""Metrics that compare the values of parts of the image with the loss of score when a single part is removed."""

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
    """Return the group of each pixel; groups have the same number of pixels, and group 0 has the hottest ones."""
    return rank_pixels(heatmap, most_first=True) * groups // heatmap[0].numel()


def grid_patches(height: int, width: int, grid: int, device: torch.device) -> Int[Tensor, "1 h w"]:
    """Return grid · grid patches, in reading order."""
    rows = torch.arange(height, device=device) * grid // height
    columns = torch.arange(width, device=device) * grid // width
    return (rows[:, None] * grid + columns)[None]


def without_each(images: Images, labels: Labels, parts: int, content: Content | float) -> Iterator[Images]:
    """Yield the images with one part after the other replaced by `content`."""
    replacement = torch.as_tensor(content, device=images.device, dtype=images.dtype)
    for part in range(parts):
        yield torch.where((labels == part)[:, None], replacement, images)


def sums_of_parts(maps: Maps, labels: Labels, parts: int) -> Parts:
    """Return the sum of the map over each part."""
    members = labels.expand(len(maps), -1, -1).flatten(1)
    return maps.new_zeros(len(maps), parts).scatter_add_(1, members, maps.flatten(1))


def means_of_parts(maps: Maps, labels: Labels, parts: int) -> Parts:
    """Return the mean of the map over each part, in float64."""
    pixels = sums_of_parts(torch.ones_like(maps, dtype=torch.float64), labels, parts)
    return sums_of_parts(maps.double(), labels, parts) / pixels


def resize_values(values: Maps, height: int, width: int) -> Maps:
    """Return signed values resized bilinearly to the image; sums over parts keep their proportions."""
    return interpolate(values[:, None], (height, width), mode="bilinear", align_corners=False)[:, 0]


def saco(group_heat: Parts, score: Score, group_scores: Parts) -> Score:
    """Return the salience-guided faithfulness coefficient, within [-1, 1].

    For each pair of groups, the removal of the hotter group should cost more of the score. The pair's difference of
    heat is added if it does, and subtracted if it does not; the sum is divided by the sum of all differences. NaN if
    all groups have the same heat, or cost the same, up to rounding.
    """
    drops = score[:, None] - group_scores
    first, second = torch.triu_indices(drops.shape[1], drops.shape[1], offset=1, device=drops.device)
    weight = (group_heat[:, first] - group_heat[:, second]).double()
    sign = torch.where(drops[:, first] >= drops[:, second], 1.0, -1.0)
    says_nothing = has_same_heat(group_heat) | lost_the_same(drops, score)
    return torch.where(says_nothing, torch.nan, (sign * weight).sum(1) / weight.abs().sum(1))


def single_deletion(patch_values: Parts, score: Score, patch_scores: Parts) -> Score:
    """Return Spearman's correlation between the patches' values and the losses of score without each patch.

    NaN if all values, or all losses, are equal up to rounding.
    """
    losses = score[:, None] - patch_scores
    says_nothing = has_same_heat(patch_values) | lost_the_same(losses, score)
    return torch.where(says_nothing, torch.nan, rank_correlation(patch_values, losses))


def infidelity(patch_values: Parts, score: Score, patch_scores: Parts) -> Score:
    """Return the mean of (β·φ(patch) - drop)² divided by the mean of drop², with the best scale β.

    It is 0 if the values are proportional to the drops of the score, and 1 if they are orthogonal to them. NaN if
    all drops are zero up to rounding.
    """
    values, drops = patch_values.double(), (score[:, None] - patch_scores).double()
    squares = values.square().sum(1)
    scale = torch.where(squares == 0, 0.0, (values * drops).sum(1) / squares)
    error = (scale[:, None] * values - drops).square().sum(1) / drops.square().sum(1)
    return torch.where(lost_nothing(drops, score), torch.nan, error)
