"""What an attention reads in coalitions as fractions of sums, for whoever computes with many thousands of them."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True)
class AttendedSums:
    """Numerators and denominators of r combinations of what queries read, for each query and head (a pair).

    In a coalition S a pair has the sums `base` + Σ_{j ∈ S} `share`_j: r numerators, and last the denominator. The r
    numbers that are read are the sums of the fractions over the pairs. The first index is the state of the queries: 0
    where the prefix tokens are present, 1 where they are removed; without prefix tokens there is one state.
    """

    base: Float[Tensor, "states pairs r_and_1"]
    share: Float[Tensor, "states positions pairs r_and_1"]

    def by_player(self, member: Int[Tensor, " positions"], count: int) -> AttendedSums:
        """Return the same with the shares of players, of whom `member` says which has each position."""
        share = self.share.new_zeros(len(self.share), count, *self.share.shape[2:])
        return AttendedSums(self.base, share.index_add(1, member, self.share))
