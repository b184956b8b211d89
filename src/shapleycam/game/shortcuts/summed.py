"""The shortcut for heads whose output is a sum over positions: a coalition costs one row of a matrix product."""

from __future__ import annotations

from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from shapleycam.game.contents import Contents
from shapleycam.game.head_runner import TENSORS_AT_ONCE, HeadRunner, Images, Presence
from shapleycam.tracing import Trace


class SummedRunner(HeadRunner):
    """Runs the head once on each single position, present and removed; the output of a coalition is their mean."""

    def __init__(self, trace: Trace, contents: Contents) -> None:
        alone = torch.cat([contents.positions, contents.absent_positions], 1)
        images, rows, _ = alone.shape
        positions = contents.positions.shape[1]
        samples = torch.arange(images, device=alone.device).repeat_interleave(rows)
        output = trace.head_of_any_size(contents.layout.single_position(alone.flatten(0, 1)), samples)
        output = output.unflatten(0, (images, rows))
        self._output_shape = output.shape[2:]
        present, absent = output.reshape(images, rows, -1).split([positions, rows - positions], 1)
        self._empty = absent if absent.shape[1] == 1 else absent.mean(1, keepdim=True)
        self._shares = (present - absent) / positions

    @cached_property
    def bytes_per_coalition(self) -> int:
        return int(TENSORS_AT_ONCE * self._shares.element_size() * sum(self._shares.shape[1:]))

    def outputs(self, presence: Presence, images: Images) -> Float[Tensor, "rows *out"]:
        shares = self._shares[images]
        output = torch.baddbmm(self._empty[images], presence.to(shares.dtype), shares).flatten(0, 1)
        return output.reshape(len(output), *self._output_shape)
