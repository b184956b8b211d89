"""The shortcut for heads that average what each position becomes, then do anything: a coalition costs one such mean."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from shapleycam.game.contents import Contents
from shapleycam.game.head_halves import run_from_mean, run_to_mean
from shapleycam.game.head_runner import TENSORS_AT_ONCE, HeadRunner, Images, LargestTensor, Presence
from shapleycam.tracing import Trace


class AveragedRunner(HeadRunner):
    """Runs the head up to the mean, once on each position alone, present and removed.

    The mean of a coalition is one of these; the rest of the head then runs from it on.
    """

    def __init__(self, trace: Trace, contents: Contents) -> None:
        self._trace, self._layout = trace, contents.layout
        alone = torch.cat([contents.positions, contents.absent_positions], 1)
        images, rows, channels = alone.shape
        positions = contents.positions.shape[1]
        samples = torch.arange(images, device=alone.device).repeat_interleave(rows)
        activation = self._layout.single_position(alone.flatten(0, 1))
        averaged = run_to_mean(lambda: trace.head_of_any_size(activation, samples)).result
        self._nothing = alone.new_zeros(1, channels)  # any numbers will do where the mean is replaced
        self._feature_shape = averaged.shape[1:]
        features = averaged.unflatten(0, (images, rows)).flatten(2)
        present, absent = features.split([positions, rows - positions], 1)
        self._empty = absent if absent.shape[1] == 1 else absent.mean(1, keepdim=True)
        self._shares = (present - absent) / positions

    @cached_property
    def bytes_per_coalition(self) -> int:
        first = torch.zeros(1, dtype=torch.long, device=self._shares.device)
        with LargestTensor() as largest:
            self._run_from(self._empty[0], first)
        return TENSORS_AT_ONCE * max(int(largest.bytes), int(self._empty[0].nbytes))

    def outputs(self, presence: Presence, images: Images) -> Any:
        shares = self._shares[images]
        means = torch.baddbmm(self._empty[images], presence.to(shares.dtype), shares).flatten(0, 1)
        return self._run_from(means, images.repeat_interleave(presence.shape[1]))

    def _run_from(self, means: Float[Tensor, "rows features"], samples: Images) -> Any:
        """Return the head's output of rows that have these means over positions."""
        activation = self._layout.single_position(self._nothing.expand(len(means), -1))
        mean = means.unflatten(1, self._feature_shape) if self._feature_shape else means.squeeze(1)
        return run_from_mean(lambda: self._trace.head_of_any_size(activation, samples), mean)
