"""Heatmaps and signed values as colours over a photograph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Protocol, TypeAlias

import numpy as np
from jaxtyping import Bool, Float, UInt8
from PIL import Image, ImageDraw, ImageEnhance
from torch import Tensor

from shapleycam.drawing.colour_scales import colours_by_name, heat_colours, signed_colours
from shapleycam.drawing.contours import Contours
from shapleycam.drawing.map_style import DEFAULT_STYLE, MapStyle
from shapleycam.images import Box

Kind: TypeAlias = Literal["heatmap", "values", "uncertain"]
ColourScale: TypeAlias = Literal["heatmap", "values"]

OPACITY = 0.75
"""The default opacity of the strongest colour."""
_STRIPE, _GREY_ALPHAS = 1 / 64, (0.85, 0.55)
"""Grey stripes of uncertain regions: their width as a share of the shorter side, and their alphas, relative to the
opacity, in turn."""
LONGEST = 1280
"""The largest width and height of an overlay on a photograph, in pixels."""


class Lines(Protocol):
    """Lines over a picture, such as contours or the borders of regions."""

    def draw(self, size: tuple[int, int]) -> Image.Image:
        """Return the lines as an RGBA image of `size` (width, height)."""


def colours_of(
    scale: ColourScale, shares: Float[np.ndarray, "*n"], opacity: float, style: MapStyle = DEFAULT_STYLE
) -> Float[np.ndarray, "*n 4"]:
    """Return RGBA colours in [0, 1] for heat from 0 to 1, or for signed values from -1 to 1.

    Colours are more transparent for less heat, and for values nearer to zero. Maps and their colour bars both use this
    function.
    """
    if scale == "heatmap":
        colours, alphas = _colours(style, shares, heat_colours), 0.4 + 0.6 * np.abs(shares)
    else:
        halves = {"positive": shares > 0, "negative": shares < 0}
        alphas = (0.3 + 0.7 * np.abs(shares)) * halves.get(style.sign or "both", True)
        colours = _colours(style, shares, signed_colours)
    return np.concatenate([colours[..., :3], opacity * (alphas * colours[..., 3])[..., None]], axis=-1)


def _colours(
    style: MapStyle, shares: Float[np.ndarray, "*n"], own: Callable[[np.ndarray], np.ndarray]
) -> Float[np.ndarray, "*n 4"]:
    """Return RGBA colours from the style's colour map; without one, from the default function `own`."""
    if style.colours is None:
        colours = own(shares)
        return np.concatenate([colours, np.ones_like(colours[..., :1])], axis=-1)
    return colours_by_name(style.colours, shares if own is heat_colours else 0.5 + 0.5 * shares)


def on_picture(picture: UInt8[Tensor, "H W 3"], shade: Image.Image, lines: Lines | None = None) -> Image.Image:
    """Return a picture of the network's input with the colours of `shade` (RGBA) and lines over it."""
    base = Image.fromarray(picture.cpu().numpy()).convert("RGBA")
    return _cover(base, shade, lines).convert("RGB")


def on_photo(photo: Image.Image, box: Box, shade: Image.Image, lines: Lines | None = None) -> Image.Image:
    """Return the whole photograph with the colours and lines over the crop `box`; outside of it is dark and grey."""
    scale = min(1.0, LONGEST / max(photo.size))
    size = (max(1, round(photo.width * scale)), max(1, round(photo.height * scale)))
    small = photo.resize(size, Image.Resampling.LANCZOS)
    left, top, right, bottom = (round(edge * scale) for edge in box)
    width, height = max(1, right - left), max(1, bottom - top)
    canvas = ImageEnhance.Brightness(small.convert("L").convert("RGB")).enhance(0.55).convert("RGBA")
    seen = small.convert("RGBA").crop((left, top, left + width, top + height))
    canvas.paste(_cover(seen, shade, lines), (left, top))
    if left > 0 or top > 0 or left + width < size[0] or top + height < size[1]:
        ImageDraw.Draw(canvas).rectangle((left, top, left + width - 1, top + height - 1), outline="white")
    return canvas.convert("RGB")


def shade_of(heatmap: Float[Tensor, "H W"], opacity: float, style: MapStyle = DEFAULT_STYLE) -> Image.Image:
    """Return the colours of a heatmap in [0, 1] as RGBA, more transparent where there is less heat."""
    return _rgba(colours_of("heatmap", heatmap.detach().cpu().numpy(), opacity, style))


def signed_shade_of(
    values: Float[Tensor, "H W"], opacity: float, style: MapStyle = DEFAULT_STYLE, largest: float | None = None
) -> Image.Image:
    """Return the colours of signed values as RGBA on a diverging scale, most transparent near zero.

    A value of `largest` or -`largest` has the strongest colour; None takes the largest absolute value.
    """
    return _rgba(colours_of("values", shares_of(values, largest), opacity, style))


def shares_of(values: Float[Tensor, "H W"], largest: float | None = None) -> Float[np.ndarray, "H W"]:
    """Return signed values divided by `largest`, or by their largest absolute value; zeros if that is zero."""
    signed: np.ndarray = values.detach().cpu().numpy()
    whole = np.abs(signed).max() if largest is None else largest
    return signed / whole if whole > 0 else signed


def hide(shade: Image.Image, shown: Bool[Tensor, "h w"]) -> Image.Image:
    """Return the colours with every cell that is not shown made transparent."""
    mask = Image.fromarray(shown.cpu().numpy().astype(np.uint8) * 255).resize(shade.size, Image.Resampling.NEAREST)
    alphas = Image.composite(shade.getchannel("A"), Image.new("L", shade.size, 0), mask)
    hidden = shade.copy()
    hidden.putalpha(alphas)
    return hidden


def contours_of(
    scale: ColourScale, shares: Float[np.ndarray, "H W"], style: MapStyle, shown: Bool[Tensor, "h w"]
) -> Contours | None:
    """Return a style's contours for heat or for signed shares; None if the style has no contours."""
    if not style.contours:
        return None
    steps = np.arange(1, style.contours + 1) / (style.contours + 1)
    sides = {"positive": steps, "negative": -steps[::-1]}
    levels = steps if scale == "heatmap" else sides.get(style.sign or "both", np.concatenate([*sides.values()]))
    colours = colours_of(scale, levels, opacity=1.0, style=style)[:, :3]
    return Contours(shares.astype(np.float64), levels, colours, shown.cpu().numpy())


def region_shade_of(
    values: Float[Tensor, "h w"],
    unsure: Bool[Tensor, "h w"],
    size: tuple[int, int],
    opacity: float,
    style: MapStyle = DEFAULT_STYLE,
    largest: float | None = None,
) -> Image.Image:
    """Return the colours of regions as RGBA, one flat colour per region, for an input of `size` (height, width).

    `values` has the value of each cell's region. Cells in `unsure` are grey with stripes instead. The scale is that of
    `signed_shade_of`.
    """
    colours = colours_of("values", shares_of(values, largest), opacity, style)
    shade = _rgba(colours).resize(size[::-1], Image.Resampling.NEAREST)
    down, across = np.ogrid[: size[0], : size[1]]
    stripe = max(2, round(_STRIPE * min(size)))
    grey = np.full((*size, 4), 0.5)
    grey[..., 3] = opacity * np.where((down + across) // stripe % 2, *_GREY_ALPHAS)
    mask = Image.fromarray(unsure.cpu().numpy().astype(np.uint8) * 255).resize(shade.size, Image.Resampling.NEAREST)
    return Image.composite(_rgba(grey), shade, mask)


def uncertain_shade_of(uncertain: Bool[Tensor, "h w"], size: tuple[int, int], opacity: float) -> Image.Image:
    """Return uncertain cells as grey squares (RGBA), for an input of `size` (height, width)."""
    shown = uncertain.cpu().numpy()
    grey = np.full((*shown.shape, 4), 0.5)
    grey[..., 3] = opacity * shown
    return _rgba(grey).resize(size[::-1], Image.Resampling.NEAREST)


def _cover(base: Image.Image, shade: Image.Image, lines: Lines | None) -> Image.Image:
    """Return a picture (RGBA) with the colours and lines over all of it."""
    covered = Image.alpha_composite(base, shade.resize(base.size, Image.Resampling.BILINEAR))
    return covered if lines is None else Image.alpha_composite(covered, lines.draw(base.size))


def _rgba(colours: Float[np.ndarray, "H W 4"]) -> Image.Image:
    return Image.fromarray((colours * 255).round().astype(np.uint8), mode="RGBA")
