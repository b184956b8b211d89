"""Replacements R that are computed from each image itself: its mean over positions, or a blurred image."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from shapleycam.models.layout import Layout

_BLUR = 1 / 16
"""The standard deviation of the blur, as a share of the image's shorter side: 14 pixels of 224."""


def own_mean(activation: Float[Tensor, "b *shape"], layout: Layout) -> Float[Tensor, "b *shape"]:
    """Return each image's mean over its own positions; prefix tokens are unchanged, since each is of its own kind."""
    positions, prefix = layout.positions(activation), layout.prefix
    cells = positions[:, prefix:]
    means = torch.cat([positions[:, :prefix], cells.mean(1, keepdim=True).expand_as(cells)], 1)
    return layout.from_positions(means, activation.shape)


def blurred(images: Float[Tensor, "b *image"], layout: Layout) -> Float[Tensor, "b *image"]:
    """Return images under a Gaussian filter whose standard deviation is a sixteenth of the shorter side."""
    from scipy.ndimage import gaussian_filter  # imported here because it is slow to import

    sides = layout.grid
    sigma = (0.0, 0.0, *[min(sides) * _BLUR] * len(sides))
    pixels = gaussian_filter(images.detach().cpu().numpy(), sigma, mode="reflect")
    return torch.from_numpy(pixels).to(images)
