"""The shortcut for heads that sum over windows of positions: coalitions are sums of entries of a table."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import embedding_bag

from shapleycam.game.shortcuts.window_sums import WindowSumRunner


class WindowedRunner(WindowSumRunner):
    """Looks up each window's entry by its contents, and sums the entries."""

    def image_groups(self, images: int) -> list[list[int]]:
        return self._tables.groups(images)

    def _sums(self, presence: Float[Tensor, "s positions"], image: int) -> Float[Tensor, "s features"]:
        entries = self.table(image)
        present = presence.bool()
        padded = torch.cat([present, present.new_zeros(len(present), 1)], 1)  # the last: outside of the map
        bits = 2 ** torch.arange(self.positions.shape[1], device=present.device)
        contents = (padded[:, self.positions] * bits).sum(2)
        starts = torch.arange(len(entries), device=present.device) * entries.shape[1]
        sums: Tensor = embedding_bag(contents + starts, entries.flatten(0, 1), mode="mean")
        return sums
