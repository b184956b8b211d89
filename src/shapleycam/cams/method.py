"""A row of the table of methods: its basis, its spread, and its cost."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import Any

from shapleycam.cams.bases import TYPICAL_CHANNELS, Basis
from shapleycam.cams.spreads import Spread

MOST_RUNS = 2**16
MOST_PASSES = 2**11
"""Maximum runs, and runs of the whole model, for one image; sets leave out methods that take more, as too slow."""
_MOST_PLAYERS = 2**20
"""A method that is affordable for this number of players is affordable for any number."""


@dataclass(frozen=True)
class Method:
    """A row of the table of methods.

    Args:
        name: as users write it.
        basis: what the values are computed from, and what that needs and costs.
        spread: how a derivative becomes one value for each position; None where the basis gives the players' values.
        source: the paper or program that defines the method.
        description: one line.
        in_units: whether the values are in units of the utility.
        in_paper: whether the paper's tables contain the method.
        is_baseline: whether it explains nothing and only serves for comparison.
        in_all: whether the set `all` contains it; other methods are chosen by name, or by the set `field`.
        own_colour: its colour in figures, if it is not the basis' colour.

    Examples:
        >>> import shapleycam
        >>> row = shapleycam.METHODS["shapleycam"]
        >>> row.basis.name, row.spread.name, row.in_units, row.basis.needs_second_derivatives
        ('second', 'mean', True, True)
    """

    name: str
    basis: Basis
    spread: Spread | None
    source: str
    description: str = ""
    in_units: bool = True
    in_paper: bool = False
    is_baseline: bool = False
    in_all: bool = True
    own_colour: str | None = None

    @property
    def colour(self) -> str:
        """Return the method's colour in figures."""
        return self.own_colour or self.basis.colour

    @property
    def group(self) -> str:
        """Return the heading under which results show the method."""
        of_spread = None if self.spread is None else self.spread.group
        return of_spread or self.basis.group

    @property
    def uses_removal(self) -> bool:
        """Return whether the values depend on the removal."""
        return self.in_units or self.basis.is_of_channels

    @property
    def needs_removed_state(self) -> bool:
        """Return whether the values need a single removed state R, as derivatives do that are multiplied by A - R."""
        return self.uses_removal and self.basis.fewest_runs is None

    @property
    def sets(self) -> tuple[str, ...]:
        """Return the names of the sets that contain the method, the smallest first."""
        return (*(["paper"] if self.in_paper else []), *(["all"] if self.in_all else []), "field")

    @property
    def spread_name(self) -> str:
        """Return the name of the spread; "none" for a method without one."""
        return "none" if self.spread is None else self.spread.name

    @property
    def most_players(self) -> int | None:
        """Return the maximum number of players for which sets contain the method; None if it is unlimited."""
        if self.basis.is_per_channel or self.is_affordable(_MOST_PLAYERS):
            return None
        return bisect_left(range(1, _MOST_PLAYERS), True, key=lambda players: not self.is_affordable(players))

    def is_affordable(self, players: int, channels: int = TYPICAL_CHANNELS) -> bool:
        """Return whether the method is fast enough for sets, with these numbers of players and channels."""
        cost = self.basis.cost_of(players, channels=channels)
        return cost.runs <= MOST_RUNS and cost.model_passes <= MOST_PASSES

    def fits(self, players: int, most_runs: int) -> bool:
        """Return whether `most_runs` runs of the head suffice for the method's values of this number of players."""
        return self.basis.fewest_runs is None or self.basis.fewest_runs(players) <= most_runs

    def most_players_of(self, most_runs: int) -> int | None:
        """Return the maximum number of players for which `most_runs` runs of the head suffice; None for any number."""
        if self.basis.fewest_runs is None:
            return None
        return bisect_left(range(1, most_runs + 2), True, key=lambda players: not self.fits(players, most_runs))

    def as_data(self) -> dict[str, Any]:
        """Return the row as data for JSON."""
        return {
            "name": self.name,
            "derivative": self.basis.name,
            "spread": self.spread_name,
            "source": self.source,
            "in_units": self.in_units,
            "in_paper": self.in_paper,
            "most_players": self.most_players,
            "description": self.description,
            "group": self.group,
            "needs_replay": self.basis.needs_replay,
            "needs_second_derivatives": self.basis.needs_second_derivatives,
            "needs_model_passes": self.basis.needs_model_passes,
            "is_class_blind": self.basis.is_class_blind,
            "sets": list(self.sets),
        }
