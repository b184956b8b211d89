"""Heatmaps and signed values as colours over a photograph."""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np
from jaxtyping import Bool, Float, UInt8
from PIL import Image, ImageDraw, ImageEnhance
from torch import Tensor

from shapleycam.drawing.colour_scales import heat_colours, signed_colours
from shapleycam.images import Box

Kind: TypeAlias = Literal["heatmap", "values", "uncertain"]
ColourScale: TypeAlias = Literal["heatmap", "values"]

OPACITY = 0.75
"""The opacity of the strongest colour, unless another one is given."""
LONGEST = 1280
"""An overlay on a photograph is at most this many pixels long or wide."""


def colours_of(scale: ColourScale, shares: Float[np.ndarray, "*n"], opacity: float) -> Float[np.ndarray, "*n 4"]:
    """Return RGBA in [0, 1]: of heat from 0 to 1, or of signed values from -1 to 1.

    The photograph shows through more where there is less heat, and where a value is nearer to zero. Maps and their
    colour bars take their colours from here.
    """
    if scale == "heatmap":
        colours, alphas = heat_colours(shares), 0.4 + 0.6 * np.abs(shares)
    else:
        colours, alphas = signed_colours(shares), 0.3 + 0.7 * np.abs(shares)
    return np.concatenate([colours, opacity * alphas[..., None]], axis=-1)


def on_picture(picture: UInt8[Tensor, "H W 3"], shade: Image.Image) -> Image.Image:
    """Return the colours of `shade` (RGBA) laid over what the network saw."""
    base = Image.fromarray(picture.cpu().numpy()).convert("RGBA")
    return Image.alpha_composite(base, shade.resize(base.size, Image.Resampling.BILINEAR)).convert("RGB")


def on_photo(photo: Image.Image, box: Box, shade: Image.Image) -> Image.Image:
    """Return the colours laid over the whole photograph, in the place of the crop; the rest of it is dimmed."""
    scale = min(1.0, LONGEST / max(photo.size))
    size = (max(1, round(photo.width * scale)), max(1, round(photo.height * scale)))
    small = photo.resize(size, Image.Resampling.LANCZOS)
    left, top, right, bottom = (round(edge * scale) for edge in box)
    width, height = max(1, right - left), max(1, bottom - top)
    canvas = ImageEnhance.Brightness(small.convert("L").convert("RGB")).enhance(0.55).convert("RGBA")
    seen = small.convert("RGBA").crop((left, top, left + width, top + height))
    covered = Image.alpha_composite(seen, shade.resize((width, height), Image.Resampling.BILINEAR))
    canvas.paste(covered, (left, top))
    if left > 0 or top > 0 or left + width < size[0] or top + height < size[1]:
        ImageDraw.Draw(canvas).rectangle((left, top, left + width - 1, top + height - 1), outline="white")
    return canvas.convert("RGB")


def shade_of(heatmap: Float[Tensor, "H W"], opacity: float) -> Image.Image:
    """Return a heatmap in [0, 1] as RGBA; the photograph shows through more where there is less heat."""
    return _rgba(colours_of("heatmap", heatmap.detach().cpu().numpy(), opacity))


def signed_shade_of(values: Float[Tensor, "H W"], opacity: float) -> Image.Image:
    """Return signed values as RGBA on a diverging scale around zero; near zero the photograph shows."""
    signed = values.detach().cpu().numpy()
    largest = np.abs(signed).max()
    return _rgba(colours_of("values", signed / largest if largest > 0 else signed, opacity))


def uncertain_shade_of(uncertain: Bool[Tensor, "h w"], size: tuple[int, int], opacity: float) -> Image.Image:
    """Return the cells that are not sure as grey squares, for an input of `size` (height, width)."""
    shown = uncertain.cpu().numpy()
    grey = np.full((*shown.shape, 4), 0.5)
    grey[..., 3] = opacity * shown
    return _rgba(grey).resize(size[::-1], Image.Resampling.NEAREST)


def _rgba(colours: Float[np.ndarray, "H W 4"]) -> Image.Image:
    return Image.fromarray((colours * 255).round().astype(np.uint8), mode="RGBA")
