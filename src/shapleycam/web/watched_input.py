"""Values of regions of the photograph that come by runs of the whole model while somebody watches: what methods share.

What was drawn is kept with the question, whatever number of runs it allows, so that who stops and goes on, or looks at
the picture of an earlier state, has none made again.
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
        runs: made so far.
        allowed: that may be made, as far as they are of use.
        shares: the values of the regions.
        players: these regions, or groups of them as long as the values of the regions have no standard error.
        seconds_left: how long the runs that are left will take, if all are made.
        is_shown: whether the standard error means something.
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
    """A game of one photograph's regions, and what was drawn of it so far.

    Args:
        game: its players are the regions.
        image: an explanation of the photograph, of which all but the values is of use.
    """

    def __init__(self, game: Game, image: Explanation) -> None:
        self.game, self.image = game, image

    @abstractmethod
    def steps(self, plan: RunPlan, check: Callable[[], None]) -> Iterator[Step]:
        """Yield ever better values, each after more runs of the model, until the plan's; the last are the answer.

        The same plan always gives the same values. `check` raises where nobody waits any more.

        Raises:
            OptionError: too few runs for a standard error.
        """

    @abstractmethod
    def runs_drawn(self, plan: RunPlan) -> int:
        """Return how many runs the newest step that there is so far was made of, whoever asked for it."""

    @abstractmethod
    def stopped_at(self, step: Step, plan: RunPlan) -> RunPlan:
        """Return the plan of which a step is the answer."""

    def explanation(self, step: Step) -> Explanation:
        """Return the explanation that values of the regions make."""
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
