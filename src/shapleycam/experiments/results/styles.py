"""`style_of`: the colour (by basis, safe for colour-blind readers), marker and line style of a method in figures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from shapleycam.cams.table import METHODS

Dashes: TypeAlias = "str | tuple[int, tuple[int, ...]]"
Marker: TypeAlias = "str | tuple[int, int, int]"
"""A matplotlib marker: a letter, or (points, 1, rotation) for a star, (points, 2, rotation) for an asterisk."""

_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#777777", "#000000", "#AA4499")
"""Colours for methods that are not in the table of methods."""
_MARKERS: tuple[Marker, ...] = (
    *(*"os^Dv<>PX*phd", (4, 1, 0), (3, 1, 0), "x", "+"),
    *((points, star, 0) for points in range(5, 19) for star in (1, 2)),
)
"""Markers in the order of the table of methods; after the letters there are stars and asterisks of 5 to 18 points."""
_DASHES: tuple[Dashes, ...] = (
    *("-", "--", ":", "-.", (0, (3, 1, 1, 1, 1, 1)), (0, (6, 2))),
    *((0, (9, 2, 1, 2)), (0, (1, 3)), (0, (9, 3, 3, 3)), (0, (12, 2))),
)
"""Line styles of the methods of one colour, in the order of the table of methods (means first, then elementwise, …)."""


@dataclass(frozen=True)
class Style:
    """Colour, marker and line style, as matplotlib takes them."""

    colour: str
    marker: Marker
    dashes: Dashes


def style_of(method: str) -> Style:
    """Return the style of a method, which is the same in all figures; methods not in the table share a few styles.

    The colour comes from the method's row in the table.
    """
    if method not in METHODS:
        number = sum(method.encode())
        return Style(_COLOURS[number % len(_COLOURS)], _MARKERS[number % len(_MARKERS)], _DASHES[number % len(_DASHES)])
    colour, number = METHODS[method].colour, list(METHODS).index(method)
    of_this_colour = [name for name, row in METHODS.items() if row.colour == colour]
    dashes = _DASHES[of_this_colour.index(method) % len(_DASHES)]
    return Style(colour, _MARKERS[number % len(_MARKERS)], dashes)
