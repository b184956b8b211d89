"""The base class for values of regions that are computed by runs of the whole model while a visitor watches.

Draws are stored for the question, independently of its number of runs. So no run is repeated if a visitor stops and
continues, or opens the picture of an earlier state.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from shapleycam.cams.compute import values_of_players
from shapleycam.cams.heatmaps import heatmap
from shapleycam.errors import ignore_warnings
from shapleycam.explanations.explanation import Explanation
from shapleycam.game import Game
from shapleycam.game.players import Players
from shapleycam.values._limited_runs import with_run_notes
from shapleycam.values.options import EstimatorOptions
from shapleycam.values.shares import PlayerValues
from shapleycam.web.player_choices import RunPlan

TOLERANCE = EstimatorOptions().tolerance


@dataclass(frozen=True)
class Step:
    """The values after some runs of the model.

    Attributes:
        runs: the number of runs so far.
        allowed: the number of runs that may be made and are useful.
        shares: the values of the players.
        players: the regions, or groups of regions while the values of single regions have no standard error.
        seconds_left: the expected time for the remaining runs, if all are made.
        is_shown: whether the standard error is meaningful.
    """

    runs: int
    allowed: int
    shares: PlayerValues
    players: Players
    seconds_left: float
    is_shown: bool = True

    @property
    def error(self) -> float:
        """Return the standard error, as a share of the values."""
        return float(self.shares.uncertainty[0])


class WatchedInput(ABC):
    """A game of the regions of one photograph, and the draws so far.

    Args:
        game: the game, whose players are the regions.
        image: an explanation of the photograph, of which everything except the values is used.
    """

    def __init__(self, game: Game, image: Explanation) -> None:
        self.game, self.image = game, image

    @abstractmethod
    def steps(self, plan: RunPlan, check: Callable[[], None]) -> Iterator[Step]:
        """Yield values after more and more runs of the model, until the plan's number; the last ones are the answer.

        The same plan always gives the same values. `check` raises if nobody waits any more.

        Raises:
            OptionError: the runs are too few for a standard error.
        """

    @abstractmethod
    def runs_drawn(self, plan: RunPlan) -> int:
        """Return the number of runs in the newest step so far, whichever visitor caused them."""

    @abstractmethod
    def stopped_at(self, step: Step, plan: RunPlan) -> RunPlan:
        """Return the plan whose answer is this step."""

    def explanation(self, step: Step) -> Explanation:
        """Return the explanation with the values of a step."""
        with ignore_warnings():
            noted = with_run_notes(step.shares, TOLERANCE, self.game.runs_per_coalition)
        values = values_of_players(step.players, noted)
        size = tuple(self.image.heatmap.shape[1:])
        regions = self.image.regions if step.players is self.game.players else step.players.labels
        return replace(
            self.image,
            values=values.cells,
            stderr=values.stderr,
            prefix=values.prefix,
            heatmap=heatmap(values.cells, size),
            notes=values.notes,
            regions=regions,
            region_names=step.players.names,
        )
