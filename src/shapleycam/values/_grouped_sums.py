"""Estimates for each group and player from samples of orders in nested groups, with standard errors.

The value of a part c of a group a is its share by number of players, plus a difference: φ_c = |c| / |a| · φ_a + δ_c.
The differences δ of a group's parts sum to zero; each sample in which the group is opened has one estimate of them. So
groups may be opened in different numbers of samples, and the values always sum to v(N).
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from shapleycam.values.group_tree import GroupTree

_ROOT = 0
NEEDS_NONE = torch.iinfo(torch.long).max
"""Stands for the number of samples of a group whose parts need no samples."""


class GroupedSums:
    """The samples of one image.

    Args:
        tree: the groups of its players.
        grand: v(N).

    Attributes:
        drawn: the number of samples.
    """

    def __init__(self, tree: GroupTree, grand: float) -> None:
        self._tree, self._grand, self.drawn = tree, grand, 0
        sizes = tree.sizes.double()
        self._rows = torch.full((1, len(sizes)), torch.nan, dtype=torch.float64, device="cpu")
        around = (tree.members.double() @ tree.members.double().T) >= sizes[:, None]  # [g, a]: all of g is in a
        self._share = torch.where(around, sizes[:, None] / sizes, 0.0)
        parents = torch.zeros(len(sizes), dtype=torch.long, device="cpu")
        for node, parts in enumerate(tree.children):
            parents[list(parts)] = node
        self._parents, self._of_parent = parents, sizes / sizes[parents]
        self._is_exact = torch.zeros(len(sizes), dtype=torch.bool, device="cpu")
        self._is_exact[_ROOT] = True
        self._exact = torch.zeros_like(sizes)

    def know(self, node: int, values: Float[Tensor, " parts"]) -> None:
        """Set the exact values of a node's parts; those of all nodes around it must be set before."""
        parts = list(self._tree.children[node])
        self._is_exact[parts] = True
        self._exact[parts] = values - self._of_parent[parts] * values.sum()

    def add(self, gained: Float[Tensor, " nodes"]) -> None:
        """Add a sample: each node's marginal contribution, NaN where it is not known."""
        beyond = gained - self._of_parent * gained[self._parents]
        if self.drawn == len(self._rows):
            self._rows = torch.cat([self._rows, torch.full_like(self._rows, torch.nan)])
        self._rows[self.drawn] = beyond.masked_fill(self._is_exact, torch.nan)
        self.drawn += 1

    @property
    def count(self) -> Int[Tensor, " nodes"]:
        """Return in how many samples each node has a contribution of its own."""
        return (~self._table.isnan()).sum(0)

    @property
    def opened(self) -> Int[Tensor, " nodes"]:
        """Return in how many samples each node was opened; `NEEDS_NONE` for nodes that need no samples."""
        count, opened = self.count.tolist(), []
        for parts in self._tree.children:
            needs_samples = bool(parts) and not bool(self._is_exact[parts[0]])
            opened.append(count[parts[0]] if needs_samples else NEEDS_NONE)
        return torch.tensor(opened, device="cpu")

    @property
    def variance(self) -> Float[Tensor, " nodes"]:
        """Return the variance, for a node's players, of one sample of the division of the node among its parts."""
        table = self._table
        deviations = (table - self._beyond).nan_to_num(0)
        variance = deviations.square().sum(0) / (self.count - 1).clamp(min=1) / self._tree.sizes
        return variance.new_zeros(len(variance)).index_add(0, self._parents, variance)

    @property
    def values(self) -> Float[Tensor, " nodes"]:
        """Return the values of all nodes; the value of a group that was never opened is divided evenly by players."""
        return self._grand * self._share[:, _ROOT] + self._share @ self._beyond

    @property
    def stderr(self) -> Float[Tensor, " nodes"]:
        """Return the standard errors of all nodes; infinite if a group around the node was opened in < 2 samples."""
        table, count = self._table, self.count
        scale = (count * (count - 1)).clamp(min=1).sqrt()
        influence = (table - self._beyond).nan_to_num(0) / scale @ self._share.T
        unknown = (self._share[:, (count < 2) & ~self._is_exact] > 0).any(1)
        return influence.square().sum(0).sqrt().masked_fill(unknown, torch.inf)

    @property
    def _table(self) -> Float[Tensor, "samples nodes"]:
        return self._rows[: max(1, self.drawn)]

    @property
    def _beyond(self) -> Float[Tensor, " nodes"]:
        return torch.where(self._is_exact, self._exact, self._table.nanmean(0).nan_to_num(0))
