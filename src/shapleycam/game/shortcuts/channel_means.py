"""The shortcut for channels as players if the head reads only the mean: a coalition is a masked mean.

It is the only shortcut for channels; shortcuts for positions are not used in a game of channels (`game/channels.py`).

If the head is a mean and a linear layer, coalitions that differ in few channels cost even less: their common channels
run through the head once, and the other channels are added by a small product with the layer's matrix.
"""

from __future__ import annotations

from functools import cached_property
from math import prod
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from shapleycam.game.channels import ChannelLayout
from shapleycam.game.contents import Contents
from shapleycam.game.head_runner import TENSORS_AT_ONCE, HeadRunner, Images, Presence
from shapleycam.game.linear_of_mean import matrix_of_means
from shapleycam.tracing import Trace

_ROWS_TOGETHER = 64
"""Number of consecutive coalitions in a block, whose common channels are computed once; 32 to 128 take as long."""
_ROUNDINGS = 100
"""Tolerance between the matrix and the head itself: this multiple of the epsilon times the largest number."""


class ChannelMeansRunner(HeadRunner):
    """Runs the head on a single position with the means of A for present channels, and of R for absent channels."""

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
        matrix = self._matrix if presence.shape[1] > 1 else None
        if matrix is None:
            return self._run_head(presence, images)
        rows = [
            self._outputs_of_image(each, image, matrix) for each, image in zip(presence, images.split(1), strict=True)
        ]
        return torch.cat(rows)

    @cached_property
    def _matrix(self) -> Float[Tensor, "k out"] | None:
        """Return the matrix with which the output is a linear function of the channels' means; None for other heads."""
        matrix = matrix_of_means(self._trace)
        fits = matrix is not None and len(matrix) == self._present.shape[1]
        return matrix.contiguous() if matrix is not None and fits else None  # its rows are looked up again and again

    def _run_head(self, presence: Presence, images: Images) -> Any:
        """Return the output for each coalition, by running the head."""
        means = torch.where(presence > 0, self._present[images][:, None], self._absent[images][:, None])
        samples = images.repeat_interleave(presence.shape[1])
        return self._trace.head_of_any_size(self._base.single_position(means.flatten(0, 1)), samples)

    def _outputs_of_image(self, present: Float[Tensor, "s k"], image: Images, matrix: Float[Tensor, "k out"]) -> Any:
        """Return the outputs (s, out) of coalitions of one image, by blocks: the common channels' plus the rest's.

        Blocks with few common channels run through the head completely. All blocks do if the head disagrees with the
        matrix.
        """
        blocks = present.split(_ROWS_TOGETHER)
        differ = torch.stack([(block != block[0]).any(0) for block in blocks])
        if int(differ.sum()) > present.shape[1] * len(blocks) // 2:
            return self._run_head(present[None], image)
        shared = torch.stack([block[0] for block in blocks]) * ~differ
        of_head = self._run_head(torch.cat([shared, present[-1:]])[None], image)
        difference = (self._present - self._absent)[image][0]
        outputs = torch.cat(
            [
                output.addmm(block[:, columns] * difference[columns], matrix[columns])
                for block, columns, output in zip(blocks, differ, of_head[:-1], strict=True)
            ]
        )
        limit = _ROUNDINGS * torch.finfo(outputs.dtype).eps * of_head.abs().amax()
        agrees = bool(((outputs[-1] - of_head[-1]).abs() <= limit).all())
        return outputs if agrees else self._run_head(present[None], image)
