"""A network that takes its time, so that there is time to kill who runs it."""

from __future__ import annotations

import time

from torch import Tensor

from helpers.small_evaluations import LABELS, PREPROCESS, Tiny
from shapleycam import Network

PAUSE = 0.06
"""Seconds a forward pass takes more than `tiny`'s."""


class Slow(Tiny):
    """As Tiny, and slower."""

    def forward(self, x: Tensor) -> Tensor:
        time.sleep(PAUSE)
        return super().forward(x)


def slow() -> Network:
    return Network(Slow(), PREPROCESS, LABELS, "tiny")
