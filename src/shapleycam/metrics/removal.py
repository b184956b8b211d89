"""Images whose pixels are removed or added in the order of a heatmap, and the noise that metrics add to images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from shapleycam.game.imputation import impute
from shapleycam.images import content_seeds

Images = Float[Tensor, "b c h w"]
Maps = Float[Tensor, "b h w"]


def rank_pixels(heatmap: Maps, *, most_first: bool) -> Int[Tensor, "b h w"]:
    """Return each pixel's rank in the map, from 0; equal pixels rank in reading order, since many are exactly zero."""
    order = heatmap.flatten(1).argsort(dim=1, descending=most_first, stable=True)
    rank = torch.arange(order.shape[1], device=order.device).expand_as(order)
    return torch.empty_like(order).scatter_(1, order, rank).view(heatmap.shape)


def exchange_pixels(
    before: Images, after: Images, heatmap: Maps, steps: int, *, most_first: bool = True
) -> Iterator[Images]:
    """Yield steps + 1 batches: `before` with increasingly many pixels of `after`, largest (or smallest) heat first."""
    rank = rank_pixels(heatmap, most_first=most_first)[:, None]
    for pixels in step_ends(heatmap, steps):
        yield torch.where(rank < pixels, after, before)


def step_ends(heatmap: Maps, steps: int) -> list[int]:
    """Return the number of pixels that are exchanged after 0, 1, ... `steps` equal steps."""
    pixels = heatmap[0].numel()
    return [-(-pixels * step // steps) for step in range(steps + 1)]


def mean_of_steps(heatmap: Maps, steps: int) -> Float[Tensor, "b steps"]:
    """Return the mean heat of the pixels that each step exchanges, largest heat first."""
    ordered = heatmap.flatten(1).double().sort(dim=1, descending=True).values
    ends = step_ends(heatmap, steps)
    return torch.stack([ordered[:, start:end].mean(1) for start, end in pairwise(ends)], 1)


def removed_pixels(heatmap: Maps, percentile: int, *, most_first: bool) -> Bool[Tensor, "b h w"]:
    """Return which pixels belong to the `percentile` % with the largest (or smallest) heat."""
    return rank_pixels(heatmap, most_first=most_first) < round(heatmap[0].numel() * percentile / 100)


def impute_percentiles(
    images: Images, heatmap: Maps, percentiles: Sequence[int], noise: Float[Tensor, "b c h w"], *, most_first: bool
) -> Iterator[Images]:
    """Yield for each percentage the images with so many pixels replaced: imputed from their neighbours, plus noise."""
    for percentile in percentiles:
        removed = removed_pixels(heatmap, percentile, most_first=most_first)
        yield impute(images, removed) + noise * removed[:, None]


def draw_smoothing_noise(images: Images, share: float, draws: int, seed: int) -> Iterator[Images]:
    """Yield `draws` batches of Gaussian noise; σ is a share of each image's range. Seeds: its content and `seed`."""
    spread = share * (images.flatten(1).amax(1) - images.flatten(1).amin(1)).view(-1, 1, 1, 1)
    generators = [torch.Generator().manual_seed(image_seed) for image_seed in content_seeds(images, seed)]
    for _ in range(draws):
        drawn = [
            torch.randn(images.shape[1:], generator=generator, dtype=torch.float32, device="cpu")
            for generator in generators
        ]
        yield spread * torch.stack(drawn).to(images)


def draw_disturbances(images: Images, radius: float, draws: int, seed: int) -> Iterator[Images]:
    """Yield `draws` batches of noise, uniform within ±`radius`, seeded by each image's content and by `seed`."""
    generators = [torch.Generator().manual_seed(image_seed) for image_seed in content_seeds(images, seed)]
    for _ in range(draws):
        drawn = [
            torch.rand(images.shape[1:], generator=generator, dtype=torch.float32, device="cpu") * 2 - 1
            for generator in generators
        ]
        yield radius * torch.stack(drawn).to(images)
