"""The shortcut for channels as players, where the head reads only the mean: a coalition is a masked mean.

It is the only one for channels. Those for positions are not used in a game of channels: see `game/channels.py`.
"""

from __future__ import annotations

from functools import cached_property
from math import prod
from typing import Any

import torch

from shapleycam.game.channels import ChannelLayout
from shapleycam.game.contents import Contents
from shapleycam.game.head_runner import TENSORS_AT_ONCE, HeadRunner, Images, Presence
from shapleycam.tracing import Trace


class ChannelMeansRunner(HeadRunner):
    """Runs the head on a single position that holds the means of present channels, and of R those of absent ones."""

    def __init__(self, trace: Trace, contents: Contents) -> None:
        if not isinstance(contents.layout, ChannelLayout):
            raise TypeError(f"layout is {contents.layout}; expected one of channels")
        self._trace, self._base = trace, contents.layout.base
        self._present, self._absent = contents.positions.mean(2), contents.absent_positions.mean(2)
        self._width = max(self._present.shape[1], prod(trace.output.shape[1:]))

    @cached_property
    def bytes_per_coalition(self) -> int:
        return int(TENSORS_AT_ONCE * self._present.element_size() * self._width)

    def outputs(self, presence: Presence, images: Images) -> Any:
        means = torch.where(presence > 0, self._present[images][:, None], self._absent[images][:, None])
        samples = images.repeat_interleave(presence.shape[1])
        return self._trace.head_of_any_size(self._base.single_position(means.flatten(0, 1)), samples)
