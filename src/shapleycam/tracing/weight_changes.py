"""Detect whether a model's weights have changed, without reading all of them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from shapleycam.tracing.torch_internals import version_of

_SAMPLED = 16
"""About how many numbers of each tensor are compared."""


@dataclass(frozen=True, eq=False)
class WeightsMark:
    """A fingerprint of a model's parameters and buffers: their addresses, version counters, and a sample of numbers.

    PyTorch counts writes to a tensor (a training step makes such writes), but not writes to its `.data`. These are
    detected if they change one of a few numbers, which are spread evenly over each tensor.
    """

    versions: tuple[tuple[int, int], ...]
    sample: Tensor

    @classmethod
    def of(cls, model: nn.Module) -> WeightsMark:
        """Return the fingerprint of a model as it is now.

        Examples:
            >>> from torch import nn
            >>> from shapleycam.tracing.weight_changes import WeightsMark
            >>> model = nn.Linear(3, 2)
            >>> before, again = WeightsMark.of(model), WeightsMark.of(model)
            >>> model.weight.data *= 2
            >>> before.equals(again), before.equals(WeightsMark.of(model))
            (True, False)
        """
        tensors = [tensor.detach() for tensor in (*model.parameters(), *model.buffers()) if tensor.numel()]
        versions = tuple((tensor.data_ptr(), 0 if tensor.is_inference() else version_of(tensor)) for tensor in tensors)
        samples = [_sample(tensor).float().cpu() for tensor in tensors]
        return cls(versions, torch.cat(samples) if samples else torch.empty(0, dtype=torch.float32, device="cpu"))

    def equals(self, other: WeightsMark) -> bool:
        """Return whether no change is detected; NaN equals NaN here."""
        same = self.versions == other.versions and self.sample.shape == other.sample.shape
        return same and bool(((self.sample == other.sample) | (self.sample.isnan() & other.sample.isnan())).all())


def _sample(tensor: Tensor) -> Tensor:
    """Return a few numbers of a tensor, evenly spread along its longest dimension."""
    longest = max(range(tensor.dim()), key=tensor.shape.__getitem__, default=0)
    while tensor.dim() > 1:
        dropped = 0 if longest else 1
        tensor = tensor.select(dropped, tensor.shape[dropped] // 2)
        longest -= not dropped
    step = max(1, tensor.numel() // _SAMPLED)
    return tensor.reshape(-1)[::step]
