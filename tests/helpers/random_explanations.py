"""Explanations of random numbers, for tests of what is done with an explanation."""

from __future__ import annotations

from dataclasses import replace

import torch

from shapleycam.explanations.explanation import Explanation
from shapleycam.images import Source


def explanation_of_noise(count: int = 2, **changes: object) -> Explanation:
    """Return an explanation of `count` images in which no two numbers are the same."""
    draw = torch.Generator().manual_seed(count)
    plain = Explanation(
        method="gradcam",
        layer="layer4",
        utility_name="rest",
        heatmap=torch.rand(count, 8, 8, generator=draw),
        values=torch.randn(count, 2, 2, generator=draw),
        target=torch.arange(count) % 3,
        output=torch.randn(count, 3, generator=draw),
        utility=torch.randn(count, generator=draw),
        images=torch.rand(count, 3, 8, 8, generator=draw),
        sources=tuple(Source(f"image {index}") for index in range(count)),
        labels=("tench, Tinca tinca", "goldfish", "crane"),
    )
    return replace(plain, **changes)
