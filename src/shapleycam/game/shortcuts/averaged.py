"""The shortcut for heads that are any function of a sum of functions of single positions: a coalition is one sum."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from shapleycam.game.contents import Contents
from shapleycam.game.shortcuts.window_sums import WindowSumRunner
from shapleycam.tracing import Trace


class AveragedRunner(WindowSumRunner):
    """Multiplies the presence of positions with the positions' terms of the sum.

    A mean over positions is such a sum, and so is a linear layer on all positions and channels of a map.
    """

    def __init__(self, trace: Trace, contents: Contents) -> None:
        super().__init__(trace, contents)
        count = contents.positions.shape[1]
        self._shares, self._empty = [], []
        for image in range(len(contents.activation)):
            removed, present = self.table(image).unbind(1)
            shares = removed.new_zeros(count + 1, removed.shape[1])  # the last: of windows that hold no position
            shares.index_add_(0, self.positions[:, 0], (present - removed) / len(removed))
            self._shares.append(shares[:-1])
            self._empty.append(removed.mean(0, keepdim=True))

    def _sums(self, presence: Float[Tensor, "s positions"], image: int) -> Float[Tensor, "s features"]:
        shares = self._shares[image]
        return torch.addmm(self._empty[image], presence.to(shares.dtype), shares)
