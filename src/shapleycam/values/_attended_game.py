"""`AttendedGame`: a game that is a function of the results of a few attention queries."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from shapleycam.game.attention.sums import AttendedSums
from shapleycam.game.attention.table import PRESENT
from shapleycam.precision import accurate
from shapleycam.values._fractions import fraction_values
from shapleycam.values._quadratic import Quadratic

_NUMBERS_AT_ONCE = 2**22


@dataclass(frozen=True)
class AttendedGame:
    """The game c(S) = q(B·u(S)) of one image, where u(S) are the results of the queries.

    Attributes:
        sums: numerators and denominators of B·u(S), by player.
        quadratics: q, for each state of the queries: prefix tokens present, and absent.
        has_prefix: whether the last player is the prefix tokens, which change the state.
    """

    sums: AttendedSums
    quadratics: tuple[Quadratic, ...]
    has_prefix: bool

    @property
    def n_tokens(self) -> int:
        """Return the number of players without the prefix."""
        return self.sums.share.shape[1] - self.has_prefix

    @property
    def curved(self) -> AttendedGame:
        """Return the game without the linear part of q."""
        return AttendedGame(self.sums, tuple(quadratic.curved for quadratic in self.quadratics), self.has_prefix)

    def linear_values(self) -> Float[Tensor, " n"] | None:
        """Return the Shapley values of the linear part of q, by quadrature; None if it is not accurate."""
        precise = accurate(self.sums.base.device)
        slopes = torch.stack([quadratic.slope for quadratic in self.quadratics]).to(precise)
        base, share = self.sums.base.to(precise), self.sums.share.to(precise)
        return fraction_values(
            torch.einsum("spr,sr->sp", base[..., :-1], slopes),
            base[..., -1],
            torch.einsum("snpr,sr->snp", share[..., :-1], slopes),
            share[..., -1],
            torch.stack([quadratic.intercept for quadratic in self.quadratics]).to(precise),
        )

    def contributions(self, places: Int[Tensor, "k n"]) -> Float[Tensor, "k n"]:
        """Return the players' marginal contributions in orders of all players; `places` are the players' places."""
        orders = places[:, : self.n_tokens].argsort(1)
        gaps = torch.arange(self.n_tokens + 1, device="cpu")
        return self._contributions(orders, (gaps == places[:, -1:]).double())

    def mean_contributions(self, orders: Int[Tensor, "k tokens"]) -> Float[Tensor, "k n"]:
        """Return the marginal contributions in orders of the tokens, averaged over all places of the prefix."""
        gaps = self.n_tokens + 1
        return self._contributions(orders, torch.full((len(orders), gaps), 1 / gaps, device="cpu", dtype=torch.double))

    def _contributions(self, orders: Int[Tensor, "k tokens"], chances: Float[Tensor, "k gaps"]) -> Float[Tensor, "k n"]:
        """Return the marginal contributions; `chances` are the probabilities of each gap to contain the prefix."""
        device = self.sums.share.device
        gained = torch.zeros(len(orders), self.sums.share.shape[1], dtype=accurate(device), device=device)
        for chunk in torch.arange(len(orders), device="cpu").split(self._orders_at_once):
            players, gaps = orders[chunk].to(device), chances[chunk].to(gained)
            worth = torch.stack([self._along(players, state) for state in range(len(self.quadratics))]).to(gained)
            steps = worth.diff(dim=2)
            if self.has_prefix:
                prefix_first = gaps.cumsum(1)[:, :-1]  # the probability that the prefix comes before the next token
                gained[chunk] = gained[chunk].scatter(1, players, steps[1].lerp(steps[0], prefix_first))
                gained[chunk, -1] = (gaps * (worth[0] - worth[1])).sum(1)
            else:
                gained[chunk] = gained[chunk].scatter(1, players, steps[0])
        return gained

    @property
    def _orders_at_once(self) -> int:
        return max(1, _NUMBERS_AT_ONCE // self.sums.share.numel())

    def _along(self, orders: Int[Tensor, "k tokens"], state: int) -> Float[Tensor, "k gaps"]:
        """Return the values of the first 0, 1, … tokens of each order, in one state of the queries."""
        start, share = self.sums.base[state], self.sums.share[state]
        if self.has_prefix and state == PRESENT:
            start = start + share[-1]
        sums = torch.cat([start.expand(len(orders), 1, *start.shape), share[orders]], 1).cumsum(1)
        return self.quadratics[state].value((sums[..., :-1] / sums[..., -1:]).sum(2))
