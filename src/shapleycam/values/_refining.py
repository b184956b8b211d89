"""`Refining`: choose which groups of players each sample of orders opens: first all, then those that matter most."""

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
"""Maximum runs to evaluate all coalitions of the coarsest groups: enough for five groups."""
MOST_COUNTED_IN_ALL = 4096
"""Maximum runs to evaluate all coalitions of all groups."""
_MOST_REPEATED = 4
"""Limit on the samples' coalitions with repetitions, as a multiple of the runs; cached coalitions take no runs."""
FEWEST = 3
"""Samples of four orders in which a group is opened before its importance is estimated."""
_FOR_STANDARD_ERROR = 2
"""Samples of a level that must fit into the runs; otherwise its groups are not opened.

A single sample has no standard error, and an even division is closer to the values than it is (docs/decisions.md).
"""
_LEAST_SHARE = 0.25
"""Minimum share of the samples in which a group is opened, even if it seems unimportant."""


class Refining:
    """The sampling of one image: which groups are opened in which sample.

    If all coalitions of a group's parts can be evaluated, the parts are counted: their values are exact. The other
    levels are sampled as far as the runs suffice, from the coarsest on. Each level is sampled once, then all groups are
    opened together, and then groups are opened in proportion to how much they reduce the square error per run (Neyman
    1934).
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
        """Return the groups of the coarsest levels for which the runs suffice for two samples."""
        opened = self.tree.opened_to(1)
        for depth in range(2, self.tree.depth + 1):
            finer = self.tree.opened_to(depth)
            if _FOR_STANDARD_ERROR * self._cost(finer) > runs:
                break
            opened = finer
        return opened

    @property
    def spent(self) -> int:
        """Return the number of evaluations so far."""
        return self._orders.spent

    @property
    def samples(self) -> int:
        """Return the smallest number of samples in which a group was opened; 2 if there is nothing to sample."""
        least = int(self.sums.opened.min())
        return 2 if least == NEEDS_NONE else least

    @property
    def uncertainty(self) -> float:
        """Return ‖stderr‖ / ‖values‖ of the players; as in `PlayerValues`, infinite if uncertain values are zero."""
        leaves = self.tree.leaves
        size, error = (float(numbers[leaves].norm()) for numbers in (self.sums.values, self.sums.stderr))
        if size == 0:  # such as before the first sample if v(N) is zero
            return 0.0 if error == 0 else inf
        return error / size

    def refine(self) -> bool:
        """Count or sample once more; return False if there is nothing left to do, or no runs are left."""
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
        """Make the values of one more group's parts exact; return False if no group is left to count."""
        for node in self._to_count:
            self.sums.know(node, self._orders.count(node))
            return True
        return False

    @property
    def _left(self) -> int:
        return self._runs - self.spent

    def _cost(self, opened: frozenset[int]) -> int:
        """Return the maximum number of runs of a sample."""
        return int(self._costs[list(opened)].sum())

    def _next(self) -> tuple[frozenset[int], int]:
        """Return the groups that the next sample opens, within the runs that are left, and its number of orders.

        If the runs do not suffice for four orders of the coarsest groups, the first sample has two orders or one, so
        that there is a result.
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
        """Return how often each group should be opened, up to a factor; infinite for groups that are hardly known."""
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
        """Return the most important of these groups, as many as fit into the runs that are left."""
        if self._cost(opened) <= self._left:
            return opened
        demand, chosen = self._demand, frozenset[int]()
        for node in sorted(opened, key=lambda node: (-float(demand[node]), node)):
            more = chosen | self._with_those_around([node])
            if self._cost(more) <= self._left:
                chosen = more
        return chosen

    def _with_those_around(self, nodes: list[int]) -> frozenset[int]:
        """Return these groups, and all groups that contain them."""
        return frozenset(node for each in nodes for node in self.tree.around(each))
