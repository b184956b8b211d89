"""Colour bars, which show what the colours of a map mean, as a picture or as CSS."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from PIL import Image

from shapleycam.drawing.map_style import DEFAULT_STYLE, MapStyle, Sign
from shapleycam.drawing.overlays import OPACITY, ColourScale, colours_of
from shapleycam.wording import signed

_GREY = 128 / 255
"""The neutral background of a bar, in place of the photograph that a map has behind it."""
_STOPS = 33
"""Number of colours in a CSS gradient; odd, so that the middle one is zero, the most transparent of signed colours."""


@dataclass(frozen=True)
class ColourBar:
    """A map's colour bar: its colours, the texts at its ends, and a caption.

    Attributes:
        scale: "heatmap", or "values" for signed values.
        low: the text at the left end.
        high: the text at the right end.
        caption: what the colours mean, with the unit.
        style: how the map is drawn; the bar has the same colours.

    Examples:
        >>> from shapleycam.drawing.colour_bars import ColourBar
        >>> ColourBar("values", "-2", "+2", "units of logit").css.startswith("linear-gradient(to right, #")
        True
    """

    scale: ColourScale
    low: str
    high: str
    caption: str
    style: MapStyle = DEFAULT_STYLE

    @property
    def css(self) -> str:
        """Return the colours as a CSS background."""
        return css_gradient(self.scale, style=self.style)

    def picture(self, width: int, height: int) -> Image.Image:
        """Return the colours as a picture of `width` x `height` pixels."""
        return bar_picture(self.scale, width, height, style=self.style)


def heatmap_bar(style: MapStyle = DEFAULT_STYLE) -> ColourBar:
    """Return the colour bar for heatmaps, each of which has its own range.

    Examples:
        >>> from shapleycam.drawing.colour_bars import heatmap_bar
        >>> heatmap_bar().low, heatmap_bar().high
        ('0', '1')
    """
    against = " of what speaks against the class" if style.sign == "negative" else ""
    caption = f"heat{against}, relative to the strongest place of each map"
    return ColourBar("heatmap", "0", "1", _with_parts(caption, style, style.sign or "positive"), style)


def values_bar(largest: float, caption: str, style: MapStyle = DEFAULT_STYLE) -> ColourBar:
    """Return the colour bar for signed values up to `largest` in absolute value; `caption` names the unit.

    Examples:
        >>> from shapleycam.drawing.colour_bars import values_bar
        >>> bar = values_bar(0.25, "units of logit")
        >>> bar.low, bar.high
        ('-0.25', '+0.25')
    """
    return ColourBar("values", signed(-largest), signed(largest), with_style(caption, style), style)


def relative_values_bar(caption: str, style: MapStyle = DEFAULT_STYLE) -> ColourBar:
    """Return the colour bar for several maps of signed values, each with its own range; `caption` names the unit.

    Examples:
        >>> from shapleycam.drawing.colour_bars import relative_values_bar
        >>> relative_values_bar("in units of logit").caption
        'in units of logit, relative to the largest value of each map'
    """
    text = with_style(f"{caption}, relative to the largest value of each map", style)
    return ColourBar("values", "-1", "+1", text, style)


def css_gradient(scale: ColourScale, opacity: float = OPACITY, style: MapStyle = DEFAULT_STYLE) -> str:
    """Return a map's colours over neutral grey as a CSS background from left to right, at the map's opacity.

    Examples:
        >>> from shapleycam.drawing.colour_bars import css_gradient
        >>> css_gradient("values").count("#")
        33
    """
    return f"linear-gradient(to right, {', '.join(map(_hex, colours_over_grey(scale, _STOPS, opacity, style)))})"


def bar_picture(
    scale: ColourScale, width: int, height: int, opacity: float = OPACITY, style: MapStyle = DEFAULT_STYLE
) -> Image.Image:
    """Return a map's colours over neutral grey as a picture of `width` x `height` pixels, at the map's opacity.

    Examples:
        >>> from shapleycam.drawing.colour_bars import bar_picture
        >>> bar_picture("heatmap", 200, 12).size
        (200, 12)
    """
    row = (colours_over_grey(scale, width, opacity, style) * 255).round().astype(np.uint8)
    return Image.fromarray(np.repeat(row[None], height, axis=0))


def colours_over_grey(
    scale: ColourScale, count: int, opacity: float = OPACITY, style: MapStyle = DEFAULT_STYLE
) -> Float[np.ndarray, "count 3"]:
    """Return the colours at `count` equal steps of the scale, blended with neutral grey."""
    colours = colours_of(scale, np.linspace(0.0 if scale == "heatmap" else -1.0, 1.0, count), opacity, style)
    alphas = colours[:, 3:]
    over_grey: np.ndarray = colours[:, :3] * alphas + _GREY * (1 - alphas)
    return over_grey


def with_style(caption: str, style: MapStyle) -> str:
    """Return a caption for signed values, extended by the sign, the places and the contours that a style shows.

    Examples:
        >>> from shapleycam.drawing.colour_bars import with_style
        >>> from shapleycam.drawing.map_style import MapStyle
        >>> with_style("values", MapStyle(sign="negative", contours=2))
        'values, negative values alone; 2 contours at equal steps of the scale'
    """
    sign = style.sign or "both"
    return _with_parts(caption if sign == "both" else f"{caption}, {sign} values alone", style, sign)


def _with_parts(caption: str, style: MapStyle, sign: Sign) -> str:
    parts = style.describe(sign)
    return f"{caption}; {parts}" if parts else caption


def _hex(colour: Float[np.ndarray, "3"]) -> str:
    """Return a colour in [0, 1] in CSS notation, such as #00ff80."""
    return "#" + bytes((colour * 255).round().astype(np.uint8)).hex()
