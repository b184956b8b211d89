"""The boxes of how maps are drawn: smoothing, colours, contours, sign, and the places that are shown."""

from __future__ import annotations

from shapleycam.drawing.colour_scales import find_colour_map
from shapleycam.smoothing import SMOOTHINGS, parse_smoothing, smoothing_name
from shapleycam.smoothing.table import NONE
from shapleycam.web.boxes import Box, make_box, option_text, value_or_none
from shapleycam.web.map_choices import read_contours, read_share
from shapleycam.wording import counted, percent

_OWN_COLOURS, _NO_CONTOURS, _USUAL_SIGN, _ALL_PLACES = "own", "0", "usual", "all"
_COLOURS = {
    _OWN_COLOURS: "own: turbo; red for the class, blue against it",
    "viridis": "viridis: even steps of lightness",
    "cividis": "cividis: the same to colour-blind eyes",
    "magma": "magma: from black",
    "gray": "gray",
    "coolwarm": "coolwarm: two sides, for the signed map",
}
"""A line about each colour map; an address may have any other colour map of matplotlib."""
_CONTOURS = {_NO_CONTOURS: "none", "4": "at 4 steps of the scale", "9": "at 9 steps of the scale"}
"""A line about each number of contours; an address may have any other."""
_SIGNS = {
    _USUAL_SIGN: "usual: heatmaps what speaks for the class, signed maps both",
    "positive": "positive: what speaks for the class",
    "negative": "negative: what speaks against it",
}
"""A line about each sign that all maps can show."""
_PLACES = {
    _ALL_PLACES: "all",
    "0.5": "those that hold 50% of the value",
    "0.8": "those that hold 80% of the value",
}
"""A line about each share of the value, as in `top_value` of `MapStyle`."""


def smoothing_box(text: str) -> Box:
    """Return the box of smoothings; several smoothings in an address become one more option."""
    texts = {NONE: "none", **{name: option_text(name, row.summary) for name, row in SMOOTHINGS.items()}}
    chosen = value_or_none(text, lambda name: smoothing_name(parse_smoothing(name)))
    if chosen is not None and chosen not in texts:
        texts[chosen] = chosen.replace(",", ", then ")
    return make_box("smooth", "Smoothing of the maps", "smoothing", texts, chosen or text, NONE)


def colours_box(text: str) -> Box:
    """Return the box of colour maps; another colour map of matplotlib in an address becomes one more option."""
    chosen = value_or_none(text, find_colour_map)
    texts = dict(_COLOURS) if not chosen or chosen in _COLOURS else {**_COLOURS, chosen: chosen}
    return make_box("colours", "Colours of the maps", None, texts, chosen or text, _OWN_COLOURS)


def sign_box(text: str) -> Box:
    """Return the box of the signs that all maps can show."""
    return make_box("sign", "Sign of the values that maps show", None, _SIGNS, text, _USUAL_SIGN)


def contours_box(text: str) -> Box:
    """Return the box of contours; another number in an address becomes one more option."""
    texts, contours = dict(_CONTOURS), value_or_none(text, read_contours)
    if contours is not None and text not in texts:
        texts[text] = f"at {counted(contours, 'step')} of the scale"
    return make_box("contours", "Contours in the maps", None, texts, text, _NO_CONTOURS)


def places_box(text: str) -> Box:
    """Return the box of the places that maps show; another share in an address becomes one more option."""
    texts, share = dict(_PLACES), value_or_none(text, read_share)
    if share is not None and text not in texts:
        texts[text] = f"those that hold {percent(share)} of the value"
    return make_box("top_value", "Places that are shown", None, texts, text, _ALL_PLACES)
