"""`AttendedSums`: the attention's results for coalitions as fractions of sums, for estimators of many coalitions."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True)
class AttendedSums:
    """Numerators and denominators of r linear combinations of attention results, for each pair of a query and a head.

    For a coalition S a pair has the sums `base` + Σ_{j ∈ S} `share`_j: r numerators, and last the denominator. Each of
    the r combinations is the sum of the pairs' fractions. The first index is the state of the queries: 0 if the prefix
    tokens are present, 1 if they are removed; without prefix tokens there is a single state.
    """

    base: Float[Tensor, "states pairs r_and_1"]
    share: Float[Tensor, "states positions pairs r_and_1"]

    def by_player(self, member: Int[Tensor, " positions"], count: int) -> AttendedSums:
        """Return the same sums with one share for each player; `member` is the player of each position."""
        share = self.share.new_zeros(len(self.share), count, *self.share.shape[2:])
        return AttendedSums(self.base, share.index_add(1, member, self.share))
