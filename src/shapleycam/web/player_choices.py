"""Among whom the first tab divides, and in how many runs, as the page's addresses say it."""

from __future__ import annotations

from shapleycam.errors import OptionError
from shapleycam.explaining.image_regions import check_region_name
from shapleycam.game.players import Regions
from shapleycam.values.run_limit import RUNS_AT_INPUT

DEFAULT_PLAYERS, DEFAULT_RUNS = "7x7", RUNS_AT_INPUT
"""At the input."""
_MOST_RUNS = 20_000
"""Which visitors may ask for."""


def read_players(text: str) -> Regions:
    """Return the players that an address says; None for none.

    Raises:
        OptionError: neither a grid nor a name of regions.
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


def read_runs(text: str) -> int | None:
    """Return the number of runs that an address says; None for none.

    Raises:
        OptionError: it is no number, or one that is out of range.
    """
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 9 and 1 <= int(text) <= _MOST_RUNS):
        raise OptionError(f"runs in the address are {text[:40]!r}; expected a whole number from 1 to {_MOST_RUNS:,}")
    return int(text)
