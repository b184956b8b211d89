"""Values of options that are texts of a form of their own, as the library takes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shapleycam.errors import OptionError

if TYPE_CHECKING:
    from shapleycam.values._path import Nodes


def parse_nodes(text: str) -> Nodes:
    """Return the number of nodes that `--nodes` means, or "auto".

    Raises:
        OptionError: neither a whole number from 1 on nor "auto".
    """
    if text == "auto":
        return "auto"
    if not text.isdecimal() or int(text) < 1:
        raise OptionError(f"--nodes {text}: expected a whole number from 1 on, or auto")
    return int(text)


def parse_players(text: str | None) -> tuple[int, int] | None:
    """Return the grid of regions (rows, columns) that `--players` means; None for each position by itself.

    Raises:
        OptionError: not of the form 3x3.
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
    """Return the players that `--players` means: a grid of regions, or a name of regions of the image.

    Raises:
        OptionError: neither of the form 3x3 nor such a name.
    """
    if text is None:
        return None
    if text[:1].isalpha():
        from shapleycam.explaining.image_regions import check_region_name

        return check_region_name(text)
    return parse_players(text)
