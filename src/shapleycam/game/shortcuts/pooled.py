"""The shortcut for heads that read only the mean of the activation: a coalition costs one pooled vector."""

from __future__ import annotations

from functools import cached_property
from math import prod

import torch
from jaxtyping import Float
from torch import Tensor

from shapleycam.game.head_runner import TENSORS_AT_ONCE, HeadRunner, Images, Presence
from shapleycam.models.layout import Layout
from shapleycam.tracing import Trace


class PooledRunner(HeadRunner):
    """Runs the head on a single position that holds the mean over the positions of the map with the absent removed.

    A head that reads nothing but the mean cannot tell the two apart.
    """

    def __init__(self, trace: Trace, layout: Layout) -> None:
        self._trace, self._layout = trace, layout
        contents = layout.positions(trace.activation.detach())
        self._shares = contents / contents.shape[1]
        self._width = max(contents.shape[1] + contents.shape[2], prod(trace.output.shape[1:]))

    @cached_property
    def bytes_per_coalition(self) -> int:
        return int(TENSORS_AT_ONCE * self._shares.element_size() * self._width)

    def outputs(self, presence: Presence, images: Images) -> Float[Tensor, "rows *out"]:
        means = torch.bmm(presence.to(self._shares.dtype), self._shares[images]).flatten(0, 1)
        samples = images.repeat_interleave(presence.shape[1])
        output: Tensor = self._trace.head_of_any_size(self._layout.single_position(means), samples)
        return output
