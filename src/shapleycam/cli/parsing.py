"""Parsing texts of options, such as "auto" and "3x3", to the library's values."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shapleycam.errors import OptionError

if TYPE_CHECKING:
    from shapleycam.values._path import Nodes


def parse_nodes(text: str) -> Nodes:
    """Return the number of nodes in the text of `--nodes`, or "auto".

    Raises:
        OptionError: the text is neither a positive whole number nor "auto".
    """
    if text == "auto":
        return "auto"
    if not text.isdecimal() or int(text) < 1:
        raise OptionError(f"--nodes {text}: expected a whole number from 1 on, or auto")
    return int(text)


def parse_players(text: str | None) -> tuple[int, int] | None:
    """Return the grid (rows, columns) in the text of `--players`; None if it was not given: each position is a player.

    Raises:
        OptionError: the text does not have the form 3x3.
    """
    if text is None:
        return None
    if not is_grid(text):
        raise OptionError(f"--players {text}: expected rows x columns, such as 3x3")
    rows, columns = text.lower().split("x")
    return int(rows), int(columns)


def is_grid(text: str) -> bool:
    """Return whether a text has the form of a grid, rows x columns."""
    sides = text.lower().split("x")
    return len(sides) == 2 and all(side.isdecimal() for side in sides)


def parse_regions(text: str | None) -> tuple[int, int] | str | None:
    """Return the players in the text of `--players`: a grid, or a name of image regions; None if it was not given.

    Raises:
        OptionError: the text neither has the form 3x3 nor is such a name.
    """
    if text is None:
        return None
    if text[:1].isalpha():
        from shapleycam.explaining.image_regions import check_region_name

        return check_region_name(text)
    return parse_players(text)
