"""Fixtures of the command tests: a small network in a user's file, and a check of one-line refusals."""

from __future__ import annotations

from pathlib import Path

import pytest

TINY = """
import torch
from torch import nn
import shapleycam


class Tiny(nn.Module):
    def __init__(self):
        super().__init__()
        self.convolution = nn.Conv2d(3, 6, 8, stride=8)
        self.activation = nn.ReLU()
        self.classifier = nn.Linear(6, 4)
        nn.init.normal_(self.classifier.weight, std=10)
        self.idle = nn.Conv2d(3, 2, 3)
        self.aside = nn.Conv2d(3, 2, 3)

    def forward(self, images):
        self.aside(images)
        return self.classifier(self.activation(self.convolution(images)).mean((2, 3)))


def model():
    torch.manual_seed(1)
    return Tiny()


def network():
    half = (0.5, 0.5, 0.5)
    preprocess = shapleycam.Preprocess(resize=36, crop=(32, 32), mean=half, std=half)
    return shapleycam.Network(model(), preprocess=preprocess, labels=("cat", "dog", "heron, wader", "stork, wader"))


def blocks():
    def block(channels, step):
        return nn.Sequential(nn.Conv2d(channels, 6, 3, stride=step, padding=1), nn.BatchNorm2d(6), nn.Sigmoid())

    layers = nn.Sequential(block(3, 4), block(6, 2))
    ends = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 4)]
    return shapleycam.Network(nn.Sequential(layers, *ends), network().preprocess)


class Windows(Tiny):
    def __init__(self):
        super().__init__()
        self.inside = nn.Linear(6, 6)

    def forward(self, images):
        places = self.convolution(images)
        windows = places.unflatten(3, (2, 2)).unflatten(2, (2, 2)).permute(0, 2, 4, 3, 5, 1).reshape(-1, 4, 6)
        shifted = self.inside(windows).reshape(-1, 2, 2, 2, 2, 6).permute(0, 5, 1, 3, 2, 4).reshape(places.shape)
        return self.classifier(self.activation(shifted).mean((2, 3)))


def windows():
    return shapleycam.Network(Windows(), network().preprocess)


def by_function():
    return shapleycam.Network(model(), preprocess=lambda photo: network().preprocess(photo))
"""


@pytest.fixture
def tiny(tmp_path: Path) -> str:
    """The name of an untrained network, of four classes, that explains a photograph in a moment."""
    (tmp_path / "tiny.py").write_text(TINY)
    return "tiny.py:network"


@pytest.fixture
def refused(run):
    """Run a command that is refused with exit code 2 and one line; return that line."""

    def command(*args: object) -> str:
        ran = run(*args)
        assert (ran.code, ran.out) == (2, "")
        assert ran.err.startswith("error: ")
        assert ran.err.count("\n") == 1
        return ran.err.removeprefix("error: ").rstrip()

    return command
