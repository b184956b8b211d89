"""How methods look in figures: a colour-blind-safe colour for each basis, a marker for each method."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from shapleycam.cams.table import METHODS

Marker: TypeAlias = "str | tuple[int, int, int]"
"""A letter of matplotlib's, or (points, 1, rotation) for a star, (points, 2, rotation) for an asterisk."""

_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#777777", "#000000", "#AA4499")
"""Colours for names that are not in the table of methods."""
_MARKERS: tuple[Marker, ...] = (
    *(*"os^Dv<>PX*phd", (4, 1, 0), (3, 1, 0), "x", "+"),
    *((points, star, 0) for points in range(5, 13) for star in (1, 2)),
)
"""Markers in the order of the table of methods; those behind the letters are stars and asterisks of 5 to 12 points."""
_DASHES = ("-", "--", ":", "-.", (0, (3, 1, 1, 1, 1, 1)), (0, (6, 2)))
_DASHES_OF_SPREAD = {"mean": 0, "elementwise": 1, "elementwise + ReLU": 2, "activation-weighted": 3}


@dataclass(frozen=True)
class Style:
    """Colour, marker and dashes, in matplotlib's words."""

    colour: str
    marker: Marker
    dashes: str | tuple[int, tuple[int, ...]]


def style_of(method: str) -> Style:
    """Return the style of a method, the same in all figures; names that are not in the table share a few styles.

    Colours come from the table of methods, so a row of a new kind brings its own.
    """
    if method not in METHODS:
        number = sum(method.encode())
        return Style(_COLOURS[number % len(_COLOURS)], _MARKERS[number % len(_MARKERS)], _DASHES[number % len(_DASHES)])
    row, number = METHODS[method], list(METHODS).index(method)
    return Style(row.colour, _MARKERS[number % len(_MARKERS)], _DASHES[_DASHES_OF_SPREAD.get(row.spread_name, 4)])
