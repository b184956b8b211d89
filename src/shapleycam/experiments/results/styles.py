"""How methods look in figures: a colour-blind-safe colour for each basis, a marker for each method."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from shapleycam.cams.table import METHODS

Dashes: TypeAlias = "str | tuple[int, tuple[int, ...]]"
Marker: TypeAlias = "str | tuple[int, int, int]"
"""A letter of matplotlib's, or (points, 1, rotation) for a star, (points, 2, rotation) for an asterisk."""

_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#777777", "#000000", "#AA4499")
"""Colours for names that are not in the table of methods."""
_MARKERS: tuple[Marker, ...] = (
    *(*"os^Dv<>PX*phd", (4, 1, 0), (3, 1, 0), "x", "+"),
    *((points, star, 0) for points in range(5, 19) for star in (1, 2)),
)
"""Markers in the order of the table of methods; those behind the letters are stars and asterisks of 5 to 18 points."""
_DASHES: tuple[Dashes, ...] = (
    *("-", "--", ":", "-.", (0, (3, 1, 1, 1, 1, 1)), (0, (6, 2))),
    *((0, (9, 2, 1, 2)), (0, (1, 3)), (0, (9, 3, 3, 3)), (0, (12, 2))),
)
"""In the order of the table of methods among those of one colour: there the mean comes first, then elementwise, …"""


@dataclass(frozen=True)
class Style:
    """Colour, marker and dashes, in matplotlib's words."""

    colour: str
    marker: Marker
    dashes: Dashes


def style_of(method: str) -> Style:
    """Return the style of a method, the same in all figures; names that are not in the table share a few styles.

    Colours come from the table of methods, so a row of a new kind brings its own.
    """
    if method not in METHODS:
        number = sum(method.encode())
        return Style(_COLOURS[number % len(_COLOURS)], _MARKERS[number % len(_MARKERS)], _DASHES[number % len(_DASHES)])
    colour, number = METHODS[method].colour, list(METHODS).index(method)
    of_this_colour = [name for name, row in METHODS.items() if row.colour == colour]
    dashes = _DASHES[of_this_colour.index(method) % len(_DASHES)]
    return Style(colour, _MARKERS[number % len(_MARKERS)], dashes)
