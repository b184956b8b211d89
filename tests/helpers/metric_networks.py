"""Networks and heatmaps for the tests of metrics: a small real network and one to work out by hand."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from helpers.networks import Toy
from shapleycam import Explainer, Explanation
from shapleycam.metrics import MetricOptions

QUICK = MetricOptions(steps=4, percentiles=(20, 70), sensitivity_draws=2, randomised_stages=2, smooth_draws=2)
"""Fewer passes than the protocol's, of the same kinds."""


def small(seed: int = 0) -> nn.Module:
    """Images (b, 3, 24, 24), BatchNorm, a grid of 6 x 6 at layer "4", a smooth head, 5 classes that differ."""
    torch.manual_seed(seed)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 4, stride=4),
        nn.BatchNorm2d(8),
        nn.GELU(),
        nn.Conv2d(8, 8, 3, padding=1),
        nn.GELU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 5),
    ).eval()
    model[1].running_mean.uniform_(-0.2, 0.2)
    model[1].running_var.uniform_(0.2, 1)
    model[7].weight.data *= 20  # so that scores are far from 1/5, and change with the image
    return model


def random_images(number: int, side: int = 24, seed: int = 1) -> Tensor:
    """Return different images with large shapes, as photographs have."""
    noise = torch.randn(number, 3, side // 4, side // 4, generator=torch.Generator().manual_seed(seed))
    fine = torch.randn(number, 3, side, side, generator=torch.Generator().manual_seed(seed + 1))
    return nn.functional.interpolate(noise, size=(side, side), mode="bilinear") + 0.2 * fine


def boxes(number: int, side: int = 24) -> Tensor:
    """Return the masks of the objects."""
    masks = torch.zeros(number, side, side, dtype=torch.bool)
    masks[:, side // 4 : side // 2, side // 4 : side // 2] = True
    return masks


def log_score_network(weight: Tensor) -> Toy:
    """The class has probability (t + 4) / (t + 5), t = Σ w·a: its logit is log(t + 4), the other's 0."""

    def head(a: Tensor) -> Tensor:
        z = ((a * weight).flatten(1).sum(1) + 4).log()
        return torch.stack([z, torch.zeros_like(z)], 1)

    return Toy(head)


def explain_at_features(model: nn.Module, utility: str = "logit") -> Explainer:
    return Explainer(model, layer="features", utility=utility)


def replace_heatmap(explanation: Explanation, heatmap: Tensor) -> Explanation:
    """Return the explanation with another heatmap."""
    return replace(explanation, heatmap=heatmap.float().expand(len(explanation), -1, -1).contiguous())
