"""`WindowGame`: a game that is a sum over windows, with values of coalitions and Shapley values in closed form.

A window has at most nine positions, so that a table has its value for each of its contents. Each window is a game of
its few players. By linearity, Shapley values are sums of those of the windows, which have 2^9 terms each, not 2^n.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import embedding_bag

_NUMBERS_AT_ONCE = 2**22
"""Entries of the table that are looked up at a time."""


@dataclass(frozen=True)
class WindowGame:
    """The game c(S) = Σ_t L_t(|S|) · (a_t + Σ_w T_t[w, contents of w in S]) of n players, with a few terms t.

    Attributes:
        worth: T (windows, contents, terms); the window's r-th position is present if bit r of the index is set.
        members: (windows, bits), the index of the player of each bit's position; n for a position without a player.
        by_size: L (n + 1, terms), the weight of each term by the coalition's size.
        constants: a (terms,).

    Examples:
        >>> import torch
        >>> from shapleycam.values._window_game import WindowGame
        >>> worth = torch.tensor([[0.0, 1.0, 2.0, 6.0]], dtype=torch.float64)[..., None]  # of {}, {0}, {1}, {0, 1}
        >>> game = WindowGame(worth, torch.tensor([[0, 1]]), worth.new_ones(3, 1), worth.new_zeros(1))
        >>> game.shapley().tolist()
        [2.5, 3.5]
    """

    worth: Float[Tensor, "windows contents terms"]
    members: Int[Tensor, "windows bits"]
    by_size: Float[Tensor, "sizes terms"]
    constants: Float[Tensor, " terms"]

    @property
    def n_players(self) -> int:
        """Return the number of players."""
        return len(self.by_size) - 1

    def value(self, coalitions: Bool[Tensor, "s n"]) -> Float[Tensor, " s"]:
        """Return c(S) of coalitions."""
        starts = torch.arange(len(self.members), device=coalitions.device) * self.worth.shape[1]
        values = []
        for chunk in coalitions.split(max(1, _NUMBERS_AT_ONCE // len(self.members))):
            contents = (chunk.float() @ self._bits).long() + starts
            terms = embedding_bag(contents, self.worth.flatten(0, 1), mode="sum") + self.constants
            values.append((terms * self.by_size[chunk.sum(1)]).sum(1))
        return torch.cat(values)

    def shapley(self) -> Float[Tensor, " n"]:
        """Return the exact Shapley values."""
        n = self.n_players
        of_sizes = (self.by_size * self.constants).sum(1)
        shares = ((of_sizes[-1] - of_sizes[0]) / n).repeat(n)
        for group in window_groups(self.members, n):
            k = group.players.shape[1]
            worth = self.worth[group.windows][:, group.contents]
            own = torch.einsum("gut,ujt->gj", worth, self._coefficients(k).to(worth))
            shares.index_add_(0, group.players.flatten(), own.flatten())
            if n > k:  # the other players change only |S|, so that they have equal parts of the rest
                total = (worth[:, -1] * self.by_size[-1] - worth[:, 0] * self.by_size[0]).sum(1)
                rest = (total - own.sum(1)) / (n - k)
                shares += rest.sum()
                shares.index_add_(0, group.players.flatten(), -rest.repeat_interleave(k))
        return shares

    @cached_property
    def _bits(self) -> Float[Tensor, "n windows"]:
        """Return the bits of each player in the index of each window's contents."""
        windows, bits = self.members.shape
        raised = torch.zeros(self.n_players + 1, windows, dtype=torch.float32, device=self.members.device)
        powers = 2.0 ** torch.arange(bits, dtype=raised.dtype, device=raised.device)
        columns = torch.arange(windows, device=raised.device)[:, None].expand(-1, bits)
        raised.index_put_((self.members, columns), powers.expand(windows, -1), accumulate=True)
        return raised[:-1]

    def _coefficients(self, k: int) -> Float[Tensor, "u k terms"]:
        """Return the weight of a window's value, for each coalition of its k players, in each player's value."""
        n, device = self.n_players, self.by_size.device
        chances = coalition_chances(n, k, self.by_size)
        sizes = torch.arange(n + 1, device=device).to(self.by_size)
        joined = (chances / sizes.clamp(min=1)[:, None]).mT @ self.by_size  # by members, of a player who is one
        left = (chances / (n - sizes).clamp(min=1)[:, None]).mT @ self.by_size  # of a player who is not
        inside = _all_coalitions(k, device)
        present = inside.sum(1)
        return torch.where(inside[..., None], joined[present][:, None], -left[present][:, None])


class WindowGroup(NamedTuple):
    """Windows whose positions belong to players in the same pattern.

    Attributes:
        windows: (g,), their indices.
        players: (g, k), the players of each window.
        contents: (2^k,), the index of the contents for each coalition of the k players; bit j is the j-th player's.
    """

    windows: Int[Tensor, " g"]
    players: Int[Tensor, "g k"]
    contents: Int[Tensor, " u"]


def window_groups(members: Int[Tensor, "windows bits"], n: int) -> Iterator[WindowGroup]:
    """Yield the windows in groups; without regions these are the windows inside the map, and groups at its border."""
    groups: dict[tuple[int, ...], list[tuple[int, list[int]]]] = {}
    for window, row in enumerate(members.tolist()):
        order: dict[int, int] = {}
        pattern = tuple(-1 if player == n else order.setdefault(player, len(order)) for player in row)
        groups.setdefault(pattern, []).append((window, list(order)))
    device = members.device
    for pattern, rows in groups.items():
        windows, players = zip(*rows, strict=True)
        inside = _all_coalitions(len(players[0]), device)
        contents = torch.zeros(len(inside), dtype=torch.long, device=device)
        for bit, player in enumerate(pattern):
            if player >= 0:
                contents += inside[:, player].long() << bit
        yield WindowGroup(
            torch.tensor(windows, device=device),
            torch.tensor(players, dtype=torch.long, device=device).reshape(len(rows), -1),
            contents,
        )


def coalition_chances(n: int, k: int, like: Tensor) -> Float[Tensor, "sizes members"]:
    """Return the probability that, of k given players, exactly p given ones are in a random coalition of each size."""
    sizes = torch.arange(n + 1, device=like.device).to(like)
    held, absent, ways = [torch.ones_like(sizes)], [torch.ones_like(sizes)], 1.0
    for step in range(k):
        held.append(held[-1] * (sizes - step))  # zero from p > |S| on
        absent.append(absent[-1] * (n - sizes - step))
        ways *= n - step
    return torch.stack([held[p] * absent[k - p] / ways for p in range(k + 1)], 1)


def mean_contents(
    members: Int[Tensor, "windows bits"], n: int, sizes: Int[Tensor, " t"], like: Tensor
) -> Float[Tensor, "t windows contents"]:
    """Return the probability of each contents of each window, in a random coalition of each of these sizes."""
    likely = torch.zeros(len(sizes), *members.shape[:1], 2 ** members.shape[1], device=like.device, dtype=like.dtype)
    for group in window_groups(members, n):
        k = group.players.shape[1]
        chances = coalition_chances(n, k, like)[sizes][:, _all_coalitions(k, like.device).sum(1)]
        likely[:, group.windows[:, None], group.contents] = chances[:, None].expand(-1, len(group.windows), -1)
    return likely


def _all_coalitions(k: int, device: torch.device) -> Bool[Tensor, "u k"]:
    """Return all coalitions of k players in the order of their numbers: player j is a member if bit j is set."""
    return (torch.arange(2**k, device=device)[:, None] >> torch.arange(k, device=device)) % 2 == 1
