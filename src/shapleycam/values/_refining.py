"""Which groups of players are opened in which sample of orders: all first, then those that matter."""

from __future__ import annotations

from math import inf

import torch
from jaxtyping import Float
from torch import Tensor

from shapleycam.game import Game
from shapleycam.values._grouped_orders import GroupedOrders, Worth
from shapleycam.values._grouped_sums import NEEDS_NONE, GroupedSums
from shapleycam.values.group_tree import GroupTree

MOST_SAMPLES = 2048
MOST_COUNTED = 30
"""Runs that counting all coalitions of the coarsest groups may take: five of them."""
MOST_COUNTED_IN_ALL = 4096
"""Runs that counting all coalitions of all groups may take."""
_MOST_REPEATED = 4
"""How many times the runs samples may take if none of their coalitions were known: few groups have few coalitions."""
FEWEST = 3
"""Samples of four orders in which a group is opened before it is judged how much it matters."""
_FOR_STANDARD_ERROR = 2
"""Samples of a level that the runs must last for, or its groups stay whole.

A single sample has no standard error, and even shares are nearer to the values than it is (docs/decisions.md).
"""
_LEAST_SHARE = 0.25
"""Of the samples, the share in which a group is opened however little it seems to matter."""


class Refining:
    """The sampling of one image: which groups are opened in which sample.

    Groups that are so few that all their coalitions can be evaluated are counted, and their values are exact. Of the
    other levels those are sampled that the runs last for, from the coarsest on: each is looked at once, then all their
    groups are opened, and then those that lower the square error most for their runs, in proportion (Neyman 1934).
    """

    def __init__(
        self,
        game: Game,
        image: int,
        tree: GroupTree,
        generator: torch.Generator,
        runs: int,
        worth: Worth | None = None,
    ) -> None:
        self.tree, self._runs = tree, runs
        self._orders = GroupedOrders(game, image, tree, generator, worth)
        self.sums = GroupedSums(tree, self._orders.grand)
        self._costs = torch.tensor([4 * max(0, len(parts) - 1) for parts in tree.children], device="cpu")
        everything, self._sampled = tree.opened_to(tree.depth), 0
        to_count = {node: self._orders.runs_to_count(node) for node in sorted(everything)}
        if sum(to_count.values()) > min(runs, MOST_COUNTED_IN_ALL):
            to_count = {0: to_count[0]} if to_count[0] <= min(runs, MOST_COUNTED) else {}
        self._costs[list(to_count)] = 0
        self._all = self._affordable_levels(runs - sum(to_count.values()))
        self._costs[sorted(everything - self._all)] = 0
        self._depths = iter(range(2 if to_count else 1, tree.depth))
        self._to_count = iter(to_count)
        self._count_next()

    def _affordable_levels(self, runs: int) -> frozenset[int]:
        """Return the groups of as many levels, from the coarsest on, as the runs last for two samples of."""
        opened = self.tree.opened_to(1)
        for depth in range(2, self.tree.depth + 1):
            finer = self.tree.opened_to(depth)
            if _FOR_STANDARD_ERROR * self._cost(finer) > runs:
                break
            opened = finer
        return opened

    @property
    def spent(self) -> int:
        """Return how many evaluations it has taken."""
        return self._orders.spent

    @property
    def samples(self) -> int:
        """Return in how many samples the group was opened that was opened least; 2 where there is nothing to sample."""
        least = int(self.sums.opened.min())
        return 2 if least == NEEDS_NONE else least

    @property
    def uncertainty(self) -> float:
        """Return ‖stderr‖ / ‖values‖ of the players; as of `PlayerValues`, infinite where unsure values are zero."""
        leaves = self.tree.leaves
        size, error = (float(numbers[leaves].norm()) for numbers in (self.sums.values, self.sums.stderr))
        if size == 0:  # as before the first sample wherever v(N) is zero, which groups then share
            return 0.0 if error == 0 else inf
        return error / size

    def refine(self) -> bool:
        """Count or sample once more; return whether there was anything to do, and runs to do so."""
        if self._count_next():
            return True
        opened, orders = self._next()
        cost = self._cost(opened) * orders // 4 if self.sums.drawn < MOST_SAMPLES else 0
        self._sampled += cost
        if not cost or self._sampled > _MOST_REPEATED * self._runs:
            return False
        self.sums.add(self._orders.gains(opened, orders))
        return True

    def _count_next(self) -> bool:
        """Make the values of one more group's parts exact; return whether there was one to be counted."""
        for node in self._to_count:
            self.sums.know(node, self._orders.count(node))
            return True
        return False

    @property
    def _left(self) -> int:
        return self._runs - self.spent

    def _cost(self, opened: frozenset[int]) -> int:
        """Return how many runs a sample takes at most."""
        return int(self._costs[list(opened)].sum())

    def _next(self) -> tuple[frozenset[int], int]:
        """Return the groups that the next sample opens, as far as the runs last, and of how many orders it is.

        Where the runs do not last for four orders of the coarsest groups, it is of two or one: so there is a picture.
        """
        for depth in self._depths:
            opened = self.tree.opened_to(depth)
            if opened < self._all and self._left - self._cost(opened) >= FEWEST * self._cost(self._all):
                return opened, 4
        least = int(self.sums.opened[self._costs > 0].min()) if self._costs.any() else NEEDS_NONE
        for orders in (4, 2, 1) if least == 0 else ():
            if self._cost(self._all) * orders // 4 <= self._left:
                return self._all, orders
        return self._affordable(self._all if least < FEWEST else self._mattering()), 4

    @property
    def _demand(self) -> Float[Tensor, " nodes"]:
        """Return how often each group should be opened, in proportion; infinite where nothing is known yet."""
        demand = (self.sums.variance / self._costs.clamp(min=1)).sqrt().masked_fill(self._costs == 0, 0)
        return demand.masked_fill((self.sums.opened < FEWEST) & (self._costs > 0), torch.inf)

    def _mattering(self) -> frozenset[int]:
        demand, opened = self._demand, self.sums.opened
        largest = float(demand.max())
        if largest == 0:
            return self._all
        share = (demand / largest).clamp(min=_LEAST_SHARE)
        most = int(opened[self._costs > 0].max())
        too_rarely_opened = (self._costs > 0) & (opened < share * (most + 1))
        return self._with_those_around(too_rarely_opened.nonzero().flatten().tolist())

    def _affordable(self, opened: frozenset[int]) -> frozenset[int]:
        """Return the groups among these that the runs last for, those first that matter most."""
        if self._cost(opened) <= self._left:
            return opened
        demand, chosen = self._demand, frozenset[int]()
        for node in sorted(opened, key=lambda node: (-float(demand[node]), node)):
            more = chosen | self._with_those_around([node])
            if self._cost(more) <= self._left:
                chosen = more
        return chosen

    def _with_those_around(self, nodes: list[int]) -> frozenset[int]:
        """Return groups, and all groups that these are parts of."""
        return frozenset(node for each in nodes for node in self.tree.around(each))
