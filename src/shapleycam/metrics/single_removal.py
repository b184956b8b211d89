"""Metrics that compare the heat of each part of the image with the score that is lost without this part."""

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
"""The number of each pixel's part, from 0."""


def rank_groups(heatmap: Maps, groups: int) -> Int[Tensor, "b h w"]:
    """Return the group of each pixel: groups have equal numbers of pixels, and group 0 has the largest heat."""
    return rank_pixels(heatmap, most_first=True) * groups // heatmap[0].numel()


def grid_patches(height: int, width: int, grid: int, device: torch.device) -> Int[Tensor, "1 h w"]:
    """Return the patch of each pixel, for grid · grid patches in reading order."""
    rows = torch.arange(height, device=device) * grid // height
    columns = torch.arange(width, device=device) * grid // width
    return (rows[:, None] * grid + columns)[None]


def without_each(images: Images, labels: Labels, parts: int, content: Content | float) -> Iterator[Images]:
    """Yield for each part the images with only this part replaced by `content`."""
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
    """Return values at the size of the image, by bilinear interpolation, without rescaling their sum."""
    return interpolate(values[:, None], (height, width), mode="bilinear", align_corners=False)[:, 0]


def saco(group_heat: Parts, score: Score, group_scores: Parts) -> Score:
    """Return the salience-guided faithfulness coefficient, in [-1, 1].

    In each pair of groups, removing the group with more heat should lower the score at least as much. The pair's
    difference of heat counts as positive if it does, and as negative if it does not. The result is the sum over pairs,
    divided by the sum of absolute differences. NaN where all groups have the same heat, or all drops are equal, up to
    rounding.
    """
    drops = score[:, None] - group_scores
    first, second = torch.triu_indices(drops.shape[1], drops.shape[1], offset=1, device=drops.device)
    weight = (group_heat[:, first] - group_heat[:, second]).double()
    sign = torch.where(drops[:, first] >= drops[:, second], 1.0, -1.0)
    is_undefined = has_same_heat(group_heat) | lost_the_same(drops, score)
    return torch.where(is_undefined, torch.nan, (sign * weight).sum(1) / weight.abs().sum(1))


def single_deletion(patch_values: Parts, score: Score, patch_scores: Parts) -> Score:
    """Return Spearman's correlation, over patches, between a patch's value and the score lost without it.

    NaN where all values, or all losses, are equal up to rounding.
    """
    losses = score[:, None] - patch_scores
    is_undefined = has_same_heat(patch_values) | lost_the_same(losses, score)
    return torch.where(is_undefined, torch.nan, rank_correlation(patch_values, losses))


def infidelity(patch_values: Parts, score: Score, patch_scores: Parts) -> Score:
    """Return mean((β·φ(patch) - drop)²) / mean(drop²) over patches; β is the scale that minimises it.

    The drop of a patch is the score lost without it. The result is 0 if values are proportional to drops, and 1 if
    Σ φ·drop is 0. NaN where all drops are zero up to rounding.
    """
    values, drops = patch_values.double(), (score[:, None] - patch_scores).double()
    squares = values.square().sum(1)
    scale = torch.where(squares == 0, 0.0, (values * drops).sum(1) / squares)
    error = (scale[:, None] * values - drops).square().sum(1) / drops.square().sum(1)
    return torch.where(lost_nothing(drops, score), torch.nan, error)
