"""Run many rows of a head in channels_last, if that is faster and was shown to change nothing.

It is faster for heads with convolutions on a CPU, from about sixty rows on, or from fewer rows if they have one pixel
for every hundred weights, as rows of images have (bench/channels_last.py). It is used only for networks of PyTorch,
torchvision and timm, as for images (docs/decisions.md, "channels_last is for networks ...").
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from shapleycam.errors import ModelError
from shapleycam.models.layout import Layout
from shapleycam.tracing import Trace
from shapleycam.tracing.agreement import outputs_equal
from shapleycam.tracing.channels_last import has_enough_pixels
from shapleycam.tracing.checks import check_result, mark_checked
from shapleycam.tracing.graph import nodes
from shapleycam.tracing.library_code import library_code
from shapleycam.tracing.modules import modules_of

_FEWEST = 64
"""Minimum number of rows; fewer rows need enough pixels, because each run also converts the weights."""


class RowsInChannelsLast:
    """Runs the head of a traced pass on rows of activations, in channels_last if that is right and faster."""

    def __init__(self, trace: Trace, layout: Layout) -> None:
        self._trace = trace
        self._key = _key_of(trace, layout)

    def __call__(self, rows: Float[Tensor, "rows *shape"], samples: Int[Tensor, " rows"]) -> Any:
        """Return the head's output for each row; `samples` are the indices of the rows' images."""
        owner, key = self._trace.owner, self._key
        known = check_result(owner, key) if key is not None and self._gains(rows) else False
        if known is False:
            return self._trace.head(rows, samples)
        try:
            output = self._trace.head(rows.contiguous(memory_format=torch.channels_last), samples)
        except ModelError:  # such as a view() of a tensor that is not contiguous
            output = None
        if known is None:
            expected = self._trace.head(rows, samples)
            is_same = output is not None and outputs_equal(output, expected)
            mark_checked(owner, key, result=is_same)
            return output if is_same else expected
        return self._trace.head(rows, samples) if output is None else output

    def _gains(self, rows: Float[Tensor, "rows *shape"]) -> bool:
        """Return whether this number of rows is faster in channels_last."""
        return len(rows) >= _FEWEST or has_enough_pixels(self._trace.owner, len(rows) * rows.shape[2] * rows.shape[3])


def _key_of(trace: Trace, layout: Layout) -> Hashable | None:
    """Return the key of the stored comparison; None if the head must not run in channels_last."""
    activation = trace.activation
    is_map = layout.channels_first and activation.dim() == 4
    if not (is_map and activation.dtype == torch.float32 and activation.device.type == "cpu"):
        return None
    if not isinstance(trace.output, Tensor) or not trace.reads_activation_alone:
        return None
    if not any("Convolution" in node.name() for node in nodes(trace.output)):
        return None
    code = library_code(modules_of(trace.owner))
    return None if code is None else ("rows in channels_last", trace.layer, activation.shape[1:], code)
