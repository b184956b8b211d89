"""A small network with labels of its own, which a server offers beside the default model: it answers at once.

`--models tests/helpers/colour_network.py:network`, and `network()` in a test.
"""

from __future__ import annotations

import torch
from torch import nn

from shapleycam import Network, Preprocess

LABELS = ("red", "redder", "green, lime", "blue", "probability", "<b>bold & 'odd'</b>")
"""Names of which one begins with another, one with a synonym, and one that is HTML."""


class _Colours(nn.Module):
    """Two convolutions before a linear head; behind `act` the head is linear, behind `body` it is not."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 12, 7, stride=4, padding=3)
        self.body = nn.Conv2d(12, 24, 3, stride=2, padding=1)
        self.act = nn.GELU()
        self.fc = nn.Linear(24, len(LABELS))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.features(x))

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """Return what the last layer classifies."""
        return self.act(self.body(torch.tanh(self.stem(x)))).mean((2, 3))


def network() -> Network:
    """Return the network, the same each time."""
    generator = torch.Generator().manual_seed(7)
    model = _Colours().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            scale = 1.5 / max(1, parameter[0].numel()) ** 0.5
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * scale)
        grey = model.features(torch.zeros(1, 3, 56, 56))[0]  # has no class: what is not grey decides
        model.fc.weight.sub_((model.fc.weight @ grey)[:, None] * grey / grey.square().sum()).mul_(3)
    preprocess = Preprocess(resize=64, crop=(56, 56), mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))
    return Network(model, preprocess, LABELS, name="colours")
