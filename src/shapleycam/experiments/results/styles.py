"""How methods look in figures: a colour-blind-safe colour for each basis, a marker for each method."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from shapleycam.cams.table import METHODS

Marker: TypeAlias = "str | tuple[int, int, int]"
"""A letter, or a star of so many points."""

_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#777777", "#000000", "#AA4499")
"""Colours for names that are not in the table of methods."""
_MARKERS: tuple[Marker, ...] = (*"os^Dv<>PX*phd", (4, 1, 0), (3, 1, 0), "x", "+")
_DASHES = ("-", "--", ":", "-.", (0, (3, 1, 1, 1, 1, 1)), (0, (6, 2)))
_OF_SPREAD = {"mean": 0, "elementwise": 1, "elementwise + ReLU": 2, "activation-weighted": 3}


@dataclass(frozen=True)
class Style:
    """Colour, marker and dashes, in matplotlib's words."""

    colour: str
    marker: Marker
    dashes: str | tuple[int, tuple[int, ...]]


def style_of(method: str) -> Style:
    """The look of a method, the same in all figures; names that are not in the table share a few looks."""
    if method not in METHODS:
        place = sum(method.encode())
        return Style(_COLOURS[place % len(_COLOURS)], _MARKERS[place % len(_MARKERS)], _DASHES[place % len(_DASHES)])
    row, place = METHODS[method], list(METHODS).index(method)
    return Style(row.colour, _MARKERS[place % len(_MARKERS)], _DASHES[_OF_SPREAD.get(row.spread_name, 4)])
