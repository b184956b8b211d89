"""How methods look in figures: a colour-blind-safe colour for each derivative, a marker for each method."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from shapleycam.cams.table import METHODS

Marker: TypeAlias = "str | tuple[int, int, int]"
"""A letter, or a star of so many points."""

_BLUE, _RED, _GREEN, _PURPLE, _SKY, _ORANGE = "#0072B2", "#D55E00", "#009E73", "#AA4499", "#56B4E9", "#B8860B"
_COLOURS = {"first": _BLUE, "second": _RED, "path": _GREEN, "random": "#777777", "sampled": "#000000", "exact": _PURPLE}
_OWN = {"layercam": _SKY, "gradcam++": _ORANGE}
"""First derivatives with weights of their own."""
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
        colours = [*_COLOURS.values()]
        return Style(colours[place % len(colours)], _MARKERS[place % len(_MARKERS)], _DASHES[place % len(_DASHES)])
    row, place = METHODS[method], list(METHODS).index(method)
    colour = _OWN.get(method, _COLOURS[row.derivative])
    return Style(colour, _MARKERS[place % len(_MARKERS)], _DASHES[_OF_SPREAD.get(row.spread, 4)])
