"""Values of regions of the photograph, sampled by runs of the whole model while somebody watches.

What was drawn is kept with the question, whatever number of runs it allows: who stops after some runs, or allows more,
asks another question, whose answer goes on from there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from shapleycam.cams.compute import values_of_players
from shapleycam.cams.heatmaps import heatmap
from shapleycam.cams.table import METHODS, method_of
from shapleycam.errors import OptionError, ignore_warnings
from shapleycam.explanations.explanation import Explanation
from shapleycam.game import Game
from shapleycam.values._contributions import marginals, order_streams
from shapleycam.values._limited_runs import Draw, estimates_within, fewest_runs, with_run_notes
from shapleycam.values.options import EstimatorOptions
from shapleycam.values.run_limit import run_limit
from shapleycam.values.shares import ShapleyValues
from shapleycam.web.kept_draws import KeptDraws
from shapleycam.web.resolved import ResolvedQuestion

METHOD = "sampledshapley"
_SEED, _TOLERANCE = EstimatorOptions().seed, EstimatorOptions().tolerance
_EVERYBODY = torch.zeros(1, dtype=torch.long, device="cpu")
"""The one image of a question."""
Order = tuple[Int[Tensor, "1 1 1 n"], Float[Tensor, "1 1 1 n"]]
"""The places of the players in one random order, and what each adds to those before it."""


@dataclass(frozen=True)
class Step:
    """The values after some runs of the model.

    Attributes:
        runs: made so far.
        allowed: that may be made, rounded down to whole samples.
        shares: the values of the regions.
        seconds_left: how long the runs that are left will take, if all are made.
    """

    runs: int
    allowed: int
    shares: ShapleyValues
    seconds_left: float

    @property
    def error(self) -> float:
        """Return the standard error, as a share of the values."""
        return float(self.shares.uncertainty[0])


@dataclass(frozen=True)
class SampledInput:
    """A game of one photograph's regions, and the random orders that were drawn of it so far.

    Attributes:
        game: its players are the regions.
        image: an explanation of the photograph, of which all but the values is of use.
    """

    game: Game
    image: Explanation
    _orders: KeptDraws[Order] = field(repr=False)

    def steps(self, runs: int, check: Callable[[], None]) -> Iterator[Step]:
        """Yield the values after each sample of four orders, within so many runs of the model.

        The same number of runs always gives the same values, which are those of `Explainer.explain` with these runs.

        Raises:
            OptionError: too few runs for a standard error.
        """
        n, each = self.game.n_players, self.game.runs_per_coalition
        if fewest_runs(n) * each > runs:
            raise OptionError(
                f"{runs:,} runs of the model are too few for {n:,} regions, whose values have a standard error from "
                f"{fewest_runs(n) * each:,} runs on; allow more in the box Runs, or choose fewer regions"
            )
        an_order = (n - 1) * each
        a_sample = 4 * an_order
        allowed = runs // a_sample * a_sample if n > 1 else 0
        with torch.no_grad():
            for orders, shares in estimates_within(self.game, runs, _TOLERANCE, self._draw(check)):
                made = orders * an_order
                left = self._orders.seconds_each * (allowed - made) / max(1, an_order)
                yield Step(made, allowed, shares, left)

    @property
    def runs_drawn(self) -> int:
        """Return how many runs of the model were made for whole samples, by whoever asked."""
        return len(self._orders) // 4 * 4 * (self.game.n_players - 1) * self.game.runs_per_coalition

    def explanation(self, shares: ShapleyValues) -> Explanation:
        """Return the explanation that values of the regions make."""
        with ignore_warnings():
            noted = with_run_notes(shares, _TOLERANCE, self.game.runs_per_coalition)
        values = values_of_players(self.game, noted)
        size = tuple(self.image.heatmap.shape[1:])
        return replace(
            self.image,
            values=values.cells,
            stderr=values.stderr,
            prefix=values.prefix,
            heatmap=heatmap(values.cells, size),
            notes=values.notes,
        )

    def _draw(self, check: Callable[[], None]) -> Draw:
        orders = self._orders.follow(check)

        def draw(_: Tensor) -> tuple[Tensor, Tensor]:
            places, gained = zip(*(next(orders) for _ in range(4)), strict=True)
            return torch.cat(places, 2), torch.cat(gained, 2)

        return draw


def is_sampled_at_input(resolved: ResolvedQuestion) -> bool:
    """Return whether a question is answered by runs of the whole model that are worth to be watched."""
    is_sampled = method_of(resolved.method).name == METHOD and not resolved.smooth
    return is_sampled and resolved.is_at_input


def sampled_input(resolved: ResolvedQuestion) -> SampledInput | None:
    """Return the question's game at the input, from the cache where it is there.

    None where its coalitions need no run of the model each, so that there is nothing to wait for.
    """
    sampled: SampledInput | None = resolved.cached_game(lambda: _make(resolved), "sampled input", players=True)
    return sampled


@torch.no_grad()
def _make(resolved: ResolvedQuestion) -> SampledInput | None:
    traced_batch = resolved.trace("shapleycam")  # so that the curvature can be had
    players = resolved.players or resolved.default_players
    game = resolved.game(traced_batch, players)
    if run_limit(game, EstimatorOptions()) is None:
        return None
    with ignore_warnings():
        options = EstimatorOptions(players=players)
        explanations = traced_batch.compare(["randomcam"], game.target, resolved.utility, options, curvature=True)
    # randomcam needs no run of the model; of its explanation all but the values is of use.
    image = replace(explanations["randomcam"], method=METHODS[METHOD].name, coalition_cost=game.coalition_cost)
    return SampledInput(game, image, KeptDraws(_single_orders(game)))


def _single_orders(game: Game) -> Iterator[Order]:
    """Yield random orders one by one, so that whoever waits no more ends the work soon; four are a sample."""
    (stream,) = order_streams(game, _SEED)
    while True:
        drawn = stream.draw(1)[None]
        for order in drawn.split(1, 2):
            yield order, marginals(game, None, order, _EVERYBODY)[0]
