"""Shapley values of regions of the photograph, sampled by runs of the whole model while a visitor watches.

The random orders are stored. If a visitor stops after some runs, or allows more, this is another question, and its
answer continues with the stored orders.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from jaxtyping import Float, Int
from torch import Tensor

from shapleycam.errors import OptionError
from shapleycam.explanations.explanation import Explanation
from shapleycam.game import Game
from shapleycam.values._contributions import marginals, order_streams
from shapleycam.values._limited_runs import Draw, estimates_within, fewest_runs
from shapleycam.values.options import EstimatorOptions
from shapleycam.web.kept_draws import KeptDraws
from shapleycam.web.player_choices import RunPlan
from shapleycam.web.watched_input import TOLERANCE, Step, WatchedInput

_SEED = EstimatorOptions().seed
_EVERYBODY = torch.zeros(1, dtype=torch.long, device="cpu")
"""The index of the only image of a question."""
_FIRST_SHOWN = 3
"""Number of samples, of four orders each, from which a standard error is meaningful."""
Order = tuple[Int[Tensor, "1 1 1 n"], Float[Tensor, "1 1 1 n"]]
"""The places of the players in one random order, and each player's marginal contribution to those before it."""


class SampledInput(WatchedInput):
    """A game of the regions of one photograph, and the random orders that were drawn so far."""

    def __init__(self, game: Game, image: Explanation) -> None:
        super().__init__(game, image)
        self._orders: KeptDraws[Order] = KeptDraws(_single_orders(game))

    def steps(self, plan: RunPlan, check: Callable[[], None]) -> Iterator[Step]:
        """Yield the values after each sample of four orders, within the plan's number of runs of the model.

        They are the values of `Explainer.explain` with this number of runs, whatever number was planned.
        """
        n, each, runs = self.game.n_players, self.game.runs_per_coalition, plan.most
        if fewest_runs(n) * each > runs:
            raise OptionError(
                f"{runs:,} runs of the model are too few for {n:,} regions, whose values have a standard error from "
                f"{fewest_runs(n) * each:,} runs on; allow more in the box Runs, or choose fewer regions"
            )
        an_order = (n - 1) * each
        a_sample = 4 * an_order
        allowed = runs // a_sample * a_sample if n > 1 else 0
        with torch.no_grad():
            for orders, shares in estimates_within(self.game, runs, TOLERANCE, self._draw(check)):
                made = orders * an_order
                left = self._orders.seconds_each * (allowed - made) / max(1, an_order)
                yield Step(made, allowed, shares, self.game.players, left, is_shown=orders >= 4 * _FIRST_SHOWN)

    def runs_drawn(self, plan: RunPlan) -> int:  # noqa: ARG002 - orders are the same for all plans
        """Return the number of runs of the model for complete samples, whichever visitor caused them."""
        return len(self._orders) // 4 * 4 * (self.game.n_players - 1) * self.game.runs_per_coalition

    def stopped_at(self, step: Step, plan: RunPlan) -> RunPlan:  # noqa: ARG002
        """Return a plan with the step's number of runs."""
        return RunPlan(step.runs, step.runs)

    def _draw(self, check: Callable[[], None]) -> Draw:
        orders = self._orders.follow(check)

        def draw(_: Tensor) -> tuple[Tensor, Tensor]:
            places, gained = zip(*(next(orders) for _ in range(4)), strict=True)
            return torch.cat(places, 2), torch.cat(gained, 2)

        return draw


def _single_orders(game: Game) -> Iterator[Order]:
    """Yield random orders one by one, so that the work can be cancelled soon; four orders are a sample."""
    (stream,) = order_streams(game, _SEED)
    while True:
        drawn = stream.draw(1)[None]
        for order in drawn.split(1, 2):
            yield order, marginals(game, None, order, _EVERYBODY)[0]
