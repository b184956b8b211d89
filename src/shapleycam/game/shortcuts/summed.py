"""The shortcut for heads whose output is a sum over positions: a coalition costs one row of a matrix product."""

from __future__ import annotations

from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from shapleycam.game.head_runner import TENSORS_AT_ONCE, HeadRunner, Images, Presence
from shapleycam.models.layout import Layout
from shapleycam.tracing import Trace


class SummedRunner(HeadRunner):
    """Runs the head once on each position alone, and once on an empty one; coalitions are sums of these outputs."""

    def __init__(self, trace: Trace, layout: Layout) -> None:
        contents = layout.positions(trace.activation.detach())
        images, positions, channels = contents.shape
        alone = torch.cat([contents, contents.new_zeros(images, 1, channels)], 1)
        samples = torch.arange(images, device=alone.device).repeat_interleave(positions + 1)
        output = trace.head_of_any_size(layout.single_position(alone.flatten(0, 1)), samples)
        output = output.unflatten(0, (images, positions + 1))
        self._output_shape = output.shape[2:]
        output = output.flatten(2)
        self._empty = output[:, -1:]
        self._shares = (output[:, :-1] - self._empty) / positions

    @cached_property
    def bytes_per_coalition(self) -> int:
        return int(TENSORS_AT_ONCE * self._shares.element_size() * sum(self._shares.shape[1:]))

    def outputs(self, presence: Presence, images: Images) -> Float[Tensor, "rows *out"]:
        shares = self._shares[images]
        output = torch.baddbmm(self._empty[images], presence.to(shares.dtype), shares).flatten(0, 1)
        return output.reshape(len(output), *self._output_shape)
