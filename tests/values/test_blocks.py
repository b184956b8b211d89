"""Coalitions are evaluated as many at a time as fit in the memory that was given, whatever else the head reads."""

from __future__ import annotations

from typing import ClassVar

import pytest
import torch
from torch import nn

from shapleycam import Explainer

A_COALITION = 3 * 512 * 8
"""Three times its largest tensor, the 512 numbers of the wide layer below, in float64."""


class Rows:
    """The counter is on a class: an isolated copy copies all that its forward uses except classes."""

    counted: ClassVar[list[int]] = []


class Wide(nn.Module):
    """A head whose weights are far larger than what it holds of one coalition; it counts the rows of each call."""

    def __init__(self):
        super().__init__()
        self.features = nn.Conv2d(3, 4, 2, stride=2)
        self.mix = nn.Conv2d(4, 4, 5, padding=2)  # so that no shortcut is right
        self.head = nn.Sequential(nn.Linear(4, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 5))
        self.double()

    def forward(self, x):
        x = self.mix(self.features(x)).relu().mean((2, 3))
        Rows.counted.append(len(x))
        return self.head(x)


@pytest.mark.parametrize("batch", [1, 32])
def test_as_many_coalitions_at_a_time_as_the_memory_holds(batch):
    model = Wide()
    images = torch.randn(batch, 3, 8, 8, dtype=torch.float64)
    game = Explainer(model, layer="features", memory=64 * A_COALITION).game(images, target=0)
    coalitions = torch.rand(256, 16) < 0.5
    game.value(coalitions, [0])
    Rows.counted.clear()
    game.value(coalitions, [0])
    assert sum(Rows.counted) == 256
    assert 32 <= max(Rows.counted) <= 128
