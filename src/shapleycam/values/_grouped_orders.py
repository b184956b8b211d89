"""Random orders of players in nested groups, for Owen values: the players of a group are contiguous in an order.

The order of a group's parts is drawn independently for each group. One sample is four orders: a random one; the same
with the halves of each group's parts exchanged (and reversed in half of the groups); and both reversed. Each is
uniformly random among the orders allowed. Of any two players each comes first in two of the four orders, so that games
of pairs are sampled without error.

A group that is not opened counts as one player. So a sample can resolve one region of the image finely and the others
coarsely.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from math import comb, prod
from typing import TypeAlias

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from shapleycam.game import Game
from shapleycam.precision import accurate
from shapleycam.values._exact import members as coalitions_by_number
from shapleycam.values._exact import shapley_weights
from shapleycam.values.group_tree import GroupTree

Worth: TypeAlias = "Callable[[Bool[Tensor, 's n']], Float[Tensor, ' s']]"
"""A function that returns the values of coalitions of one image's players."""


class GroupedOrders:
    """Samples of one image's game; each coalition is evaluated once, and its value is cached.

    Args:
        game: the game of a batch of images.
        image: the index of the image.
        tree: the groups of its players.
        generator: the only source of random numbers.
        worth: a function that evaluates coalitions; None for the game itself.
    """

    def __init__(
        self, game: Game, image: int, tree: GroupTree, generator: torch.Generator, worth: Worth | None = None
    ) -> None:
        self._tree, self._generator = tree, generator
        of_image = torch.tensor([image], device="cpu")
        self._evaluate: Worth = worth or (lambda coalitions: game.value(coalitions, of_image)[0])
        self.grand = float(game.grand[image])
        grand_coalition = torch.ones(game.n_players, dtype=torch.bool, device="cpu")
        self._known = {_key(~grand_coalition): 0.0, _key(grand_coalition): self.grand}
        self.spent = 0

    def runs_to_count(self, node: int) -> int:
        """Return how many evaluations `count` takes for a node, if all groups around the node are counted too."""
        around = self._tree.around(node)[:-1]
        contexts = prod(1 << len(self._tree.children[outer]) - 1 for outer in around)
        return contexts * ((1 << len(self._tree.children[node])) - 2)

    def count(self, node: int) -> Float[Tensor, " parts"]:
        """Return the exact values of a node's parts, from all coalitions of parts after all possible predecessors."""
        contexts, weights = self._contexts(node)
        parts = list(self._tree.children[node])
        inside = coalitions_by_number(torch.arange(2 ** len(parts), device="cpu"), len(parts))
        coalitions = contexts[:, None] | self._union(inside, parts)
        worth = self._worth(coalitions.flatten(0, 1)).unflatten(0, coalitions.shape[:2])
        values: Tensor = weights @ worth @ shapley_weights(inside)
        return values

    def _contexts(self, node: int) -> tuple[Bool[Tensor, "m n"], Float[Tensor, " m"]]:
        """Return all coalitions of players outside of a node that can precede it, with their probabilities."""
        around = self._tree.around(node)
        contexts = torch.zeros(1, self._tree.members.shape[1], dtype=torch.bool, device="cpu")
        weights = torch.ones(1, dtype=torch.float64, device="cpu")
        for outer, inner in pairwise(around):
            others = [part for part in self._tree.children[outer] if part != inner]
            inside = coalitions_by_number(torch.arange(2 ** len(others), device="cpu"), len(others))
            likely = [1 / ((len(others) + 1) * comb(len(others), size)) for size in inside.sum(1).tolist()]
            contexts = (contexts[:, None] | self._union(inside, others)).flatten(0, 1)
            weights = (weights[:, None] * weights.new_tensor(likely)).flatten()
        return contexts, weights

    def _union(self, inside: Bool[Tensor, "s parts"], parts: list[int]) -> Bool[Tensor, "s n"]:
        """Return the coalitions of players that correspond to coalitions of parts."""
        return inside.double() @ self._tree.members[parts].double() > 0

    def gains(self, opened: frozenset[int], count: int = 4) -> Float[Tensor, " nodes"]:
        """Return each node's mean marginal contribution in a sample of orders; NaN inside groups that are not opened.

        `opened` contains node 0 (all players), and with each group all groups around it. `count` is the number of
        orders: 4, 2 (an order and its reverse) or 1.
        """
        orders = torch.tensor(self._draw(0, opened), device="cpu")[:: 2 if count == 2 else 1][:count]
        before = self._tree.members[orders].cumsum(1)[:, :-1] > 0
        worth = torch.full((count, orders.shape[1] + 1), self.grand, dtype=torch.float64, device="cpu")
        worth[:, 0] = 0
        worth[:, 1:-1] = self._worth(before.flatten(0, 1)).unflatten(0, before.shape[:2])
        gained = torch.full((len(self._tree.children),), torch.nan, dtype=torch.float64, device="cpu")
        by_node = gained.new_zeros(count, len(gained)).scatter(1, orders, worth.diff(dim=1)).mean(0)
        units = orders[0]
        gained[units] = by_node[units]
        for node in sorted(opened, reverse=True):  # the parts of a group have larger numbers than the group
            gained[node] = gained[list(self._tree.children[node])].sum()
        return gained

    def _draw(self, node: int, opened: frozenset[int]) -> list[list[int]]:
        """Return four orders of the units inside a node: players, and groups that are not opened."""
        if node not in opened:
            return [[node]] * 4
        parts = self._tree.children[node]
        first = [parts[place] for place in torch.randperm(len(parts), generator=self._generator, device="cpu").tolist()]
        half = len(parts) // 2
        second = first[half:] + first[:half]
        if int(torch.randint(2, (), generator=self._generator, device="cpu")):
            second.reverse()
        inner = {part: self._draw(part, opened) for part in parts}
        four = (first, second, first[::-1], second[::-1])
        return [[unit for part in order for unit in inner[part][number]] for number, order in enumerate(four)]

    def _worth(self, coalitions: Bool[Tensor, "s n"]) -> Float[Tensor, " s"]:
        keys = [_key(coalition) for coalition in coalitions]
        new = {key: row for row, key in enumerate(keys) if key not in self._known}
        if new:
            worth = self._evaluate(coalitions[list(new.values())])
            self._known |= dict(zip(new, worth.to(accurate(worth.device)).tolist(), strict=True))
            self.spent += len(new)
        return torch.tensor([self._known[key] for key in keys], dtype=torch.float64, device="cpu")


def _key(coalition: Bool[Tensor, " n"]) -> bytes:
    return coalition.numpy().tobytes()
