"""Read the first tab's players and number of runs from the fields of a question."""

from __future__ import annotations

from dataclasses import dataclass

from shapleycam.errors import OptionError
from shapleycam.explaining.image_regions import check_region_name
from shapleycam.game.players import Regions
from shapleycam.values.run_limit import RUNS_AT_INPUT

DEFAULT_PLAYERS, DEFAULT_RUNS = "7x7", RUNS_AT_INPUT
"""The defaults at the input."""
DEFAULT_NESTED_PLAYERS = "8x8"
"""The default at the input for the method with nested groups of regions, which are halves of halves."""
_MOST_RUNS = 20_000
"""The maximum number of runs in an address."""


def read_players(text: str) -> Regions:
    """Return the players in an address; None for an empty text.

    Raises:
        OptionError: the text is neither a grid nor a name of regions.
    """
    if not text:
        return None
    down, times, across = text.lower().partition("x")
    if times and down.isdecimal() and across.isdecimal():
        return int(down), int(across)
    try:
        return check_region_name(text)
    except OptionError:
        raise OptionError(
            f"players in the address are {text[:40]!r}; expected a grid such as 7x7, superpixels, superpixels:80 or "
            "patches"
        ) from None


@dataclass(frozen=True)
class RunPlan:
    """The number of runs that may be made (`most`), of those that were `planned`: fewer if a visitor stopped them.

    `text` is the plan in an address, and `label` the plan in a box.

    Examples:
        >>> from shapleycam.web.player_choices import RunPlan
        >>> RunPlan(62, 1000).text, RunPlan(62, 1000).label, RunPlan(500, 500).text
        ('62of1000', '62 of 1,000', '500')
    """

    most: int
    planned: int

    @property
    def is_stopped(self) -> bool:
        """Return whether fewer runs are made than were planned."""
        return self.most < self.planned

    @property
    def text(self) -> str:
        """Return the plan as a text in an address."""
        return f"{self.most}of{self.planned}" if self.is_stopped else str(self.most)

    @property
    def label(self) -> str:
        """Return the plan as a text for people."""
        return f"{self.most:,} of {self.planned:,}" if self.is_stopped else f"{self.most:,}"


def read_runs(text: str) -> RunPlan | None:
    """Return the plan of runs in an address, such as "500" or "62of1000"; None for an empty text.

    Raises:
        OptionError: the text is not a number, or a number is out of range.
    """
    if not text:
        return None
    numbers = [_read_number(part) for part in text.split("of", 1)]
    most, planned = numbers[0], numbers[-1]
    if most is None or planned is None or most > planned:
        raise OptionError(
            f"runs in the address are {text[:40]!r}; expected a whole number from 1 to {_MOST_RUNS:,}, or two such as "
            "62of1000, the runs after which it was stopped and those that were planned"
        )
    return RunPlan(most, planned)


def _read_number(text: str) -> int | None:
    """Return the number of runs that a text stands for; None if visitors may not choose it."""
    is_number = text.isascii() and text.isdecimal() and len(text) < 9
    return int(text) if is_number and 1 <= int(text) <= _MOST_RUNS else None
