"""Games whose every coalition's worth is known: a network that looks it up in a table, and sums over that table."""

from __future__ import annotations

from itertools import chain, combinations
from math import factorial

import torch
from torch import Tensor

from helpers.networks import Smooth, Toy
from shapleycam import Explainer
from shapleycam.game import Game

AMPLE = 2**30
"""Bytes for coalitions, so that hundreds of copies of a small game are evaluated together."""


def multilinear(tables: Tensor, shown: Tensor) -> Tensor:
    """Tables (u, 2^n), player j being bit j of a coalition's number, at how far each player is shown (b, n) -> (b, u).

    Linear in each player and the table's own numbers where all are 0 or 1: Owen's extension of the game, whose path
    values are its Shapley values (Multilinear Extensions of Games, 1972).
    """
    first, last = shown.split([shown.shape[1] // 2, shown.shape[1] - shown.shape[1] // 2], 1)
    halves = tables.unflatten(1, (2 ** last.shape[1], 2 ** first.shape[1]))
    worth = torch.einsum("bl,uhl->buh", _shares(first), halves)
    return (worth * _shares(last)[:, None]).sum(2)


def _shares(shown: Tensor) -> Tensor:
    """Return the weight of each coalition, (b, 2^n): Π x_j of its members times Π (1 - x_j) of the others."""
    shares = shown.new_ones(len(shown), 1)
    for player in shown.unbind(1):
        shares = torch.cat([shares * (1 - player[:, None]), shares * player[:, None]], 1)
    return shares


def table_game(*tables: Tensor, copies: int = 1, utility=None, **options) -> Game:
    """The game where S is worth tables[0][S] - tables[0][0]; further tables are further logits.

    The image's first channel is 1, which the head reads, and its second is noise, which it does not: copies of the
    game differ in what their random orders are drawn from.
    """
    stacked = torch.stack(tables).double()
    n = (len(tables[0]) - 1).bit_length()
    image = torch.randn(copies, 2, 1, n, dtype=torch.float64, generator=torch.Generator().manual_seed(copies))
    image[:, 0] = 1
    model = Toy(lambda a: multilinear(stacked, a[:, 0, 0]))
    utility = utility or ("value" if len(tables) == 1 else "logit")  # one logit would be that of yes, against no
    return Explainer(model, layer="features", memory=AMPLE).game(image, target=0, utility=utility, **options)


def smooth_game(copies: int = 1, players=None, size: float = 4.0) -> Game:
    """A convolutional head on eight cells, which reads all channels but the last, where copies differ.

    A gate that all cells open keeps it from being a sum over windows.
    """
    network, generator = Smooth(), torch.Generator().manual_seed(1)
    content = torch.randn(1, 4, 2, 4, dtype=torch.float64, generator=generator) * size
    noise = torch.randn(copies, 1, 2, 4, dtype=torch.float64, generator=generator)
    model = Toy(
        lambda a: network.fc(
            (network.after(a[:, :4]) * a[:, :4].mean((1, 2, 3))[:, None, None, None].sigmoid()).mean((2, 3))
        )
    )
    images = torch.cat([content.expand(copies, -1, -1, -1), noise], 1)
    return Explainer(model, layer="features", memory=AMPLE).game(images, target=0, utility="rest", players=players)


def random_table(n: int, seed: int = 0) -> Tensor:
    """Return the table of a random game, which has no structure."""
    return torch.randn(2**n, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def table_of(n: int, worth) -> Tensor:
    """The table of a game that is given as a function of the set of its members."""
    return torch.tensor([float(worth(members_of(number, n))) for number in range(2**n)], dtype=torch.float64)


def members_of(number: int, n: int) -> frozenset[int]:
    return frozenset(player for player in range(n) if number >> player & 1)


def number_of(coalition) -> int:
    return sum(1 << player for player in coalition)


def mobius(table: Tensor) -> Tensor:
    """The Möbius transform, m(S) = Σ_{T ⊆ S} (-1)^(|S| - |T|) v(T)."""
    transform = table.clone()
    n = (len(table) - 1).bit_length()
    for player in range(n):
        for number in range(2**n):
            if number >> player & 1:
                transform[number] -= transform[number ^ 1 << player]
    return transform


def shapley_of(table: Tensor) -> Tensor:
    """φ_j = Σ_{S ∋ j} m(S) / |S|: each coalition's own surplus, shared evenly (Harsanyi 1963)."""
    n = (len(table) - 1).bit_length()
    surplus = mobius(table)
    shares = [
        sum(surplus[number] / number.bit_count() for number in range(2**n) if number >> player & 1)
        for player in range(n)
    ]
    return torch.stack(shares)


def interactions_of(table: Tensor) -> Tensor:
    """Σ_S |S|! (n - |S| - 2)! / (n - 1)! · (v(S ∪ ij) - v(S ∪ i) - v(S ∪ j) + v(S)), as it is defined."""
    n = (len(table) - 1).bit_length()
    pairs = torch.zeros(n, n, dtype=torch.float64)
    for i, j in combinations(range(n), 2):
        others = [player for player in range(n) if player not in {i, j}]
        for coalition in chain.from_iterable(combinations(others, size) for size in range(n - 1)):
            weight = factorial(len(coalition)) * factorial(n - len(coalition) - 2) / factorial(n - 1)
            s = number_of(coalition)
            together = table[s | 1 << i | 1 << j] - table[s | 1 << i] - table[s | 1 << j] + table[s]
            pairs[i, j] += weight * together
    return pairs + pairs.T
