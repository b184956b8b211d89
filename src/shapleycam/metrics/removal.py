"""Images whose pixels are removed or added in the order of a heatmap."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from shapleycam.images import content_seeds
from shapleycam.metrics.imputation import imputed

Images = Float[Tensor, "b c h w"]
Maps = Float[Tensor, "b h w"]


def ranks(heatmap: Maps, *, most_first: bool) -> Int[Tensor, "b h w"]:
    """Each pixel's place in the order of the map, from 0; equal pixels in reading order, as many are exactly zero."""
    order = heatmap.flatten(1).argsort(dim=1, descending=most_first, stable=True)
    places = torch.arange(order.shape[1], device=order.device).expand_as(order)
    return torch.empty_like(order).scatter_(1, order, places).view(heatmap.shape)


def exchanged(before: Images, after: Images, heatmap: Maps, steps: int) -> Iterator[Images]:
    """`before`, with the pixels of largest heat exchanged for those of `after` in equal steps: steps + 1 batches."""
    place = ranks(heatmap, most_first=True)[:, None]
    pixels = heatmap[0].numel()
    for step in range(steps + 1):
        yield torch.where(place < -(-pixels * step // steps), after, before)


def removed_share(heatmap: Maps, percentile: int, *, most_first: bool) -> Bool[Tensor, "b h w"]:
    """Which pixels are the `percentile` % of largest, or smallest, heat."""
    return ranks(heatmap, most_first=most_first) < round(heatmap[0].numel() * percentile / 100)


def imputations(
    images: Images, heatmap: Maps, percentiles: Sequence[int], noise: Float[Tensor, "b c h w"], *, most_first: bool
) -> Iterator[Images]:
    """The images without each percentage of their pixels: imputed from their neighbours, and noise added there."""
    for percentile in percentiles:
        removed = removed_share(heatmap, percentile, most_first=most_first)
        yield imputed(images, removed) + noise * removed[:, None]


def noise_for(images: Images, scale: float, seed: int) -> Images:
    """Normal noise of this standard deviation, drawn from each image's content and the seed."""
    drawn = [
        torch.randn(image.shape, generator=torch.Generator().manual_seed(image_seed))
        for image, image_seed in zip(images, content_seeds(images, seed), strict=True)
    ]
    return scale * torch.stack(drawn).to(images)


def disturbances(images: Images, radius: float, draws: int, seed: int) -> Iterator[Images]:
    """`draws` batches of noise, uniform within `radius` in every number, from each image's content and the seed."""
    generators = [torch.Generator().manual_seed(image_seed) for image_seed in content_seeds(images, seed)]
    for _ in range(draws):
        drawn = [torch.rand(images.shape[1:], generator=generator) * 2 - 1 for generator in generators]
        yield radius * torch.stack(drawn).to(images)
