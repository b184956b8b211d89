"""The shortcut for heads that read only the mean of the activation: a coalition costs one pooled vector."""

from __future__ import annotations

from functools import cached_property
from math import prod

import torch
from jaxtyping import Float
from torch import Tensor

from shapleycam.game.contents import Contents
from shapleycam.game.head_runner import TENSORS_AT_ONCE, HeadRunner, Images, Presence
from shapleycam.tracing import Trace


class PooledRunner(HeadRunner):
    """Runs the head on a single position with the mean over all positions of the coalition's map.

    A head that reads only the mean returns the same for this position as for the map.
    """

    def __init__(self, trace: Trace, contents: Contents) -> None:
        self._trace, self._layout = trace, contents.layout
        positions = contents.positions
        self._shares = positions / positions.shape[1]
        self._absent = None if contents.replacement is None else contents.absent_positions / positions.shape[1]
        self._width = max(positions.shape[1] + positions.shape[2], prod(trace.output.shape[1:]))

    @cached_property
    def bytes_per_coalition(self) -> int:
        return int(TENSORS_AT_ONCE * self._shares.element_size() * self._width)

    def outputs(self, presence: Presence, images: Images) -> Float[Tensor, "rows *out"]:
        present = presence.to(self._shares.dtype)
        means = torch.bmm(present, self._shares[images])
        if self._absent is not None:
            means = means.baddbmm(1 - present, self._absent[images])
        means = means.flatten(0, 1)
        samples = images.repeat_interleave(presence.shape[1])
        output: Tensor = self._trace.head_of_any_size(self._layout.single_position(means), samples)
        return output
