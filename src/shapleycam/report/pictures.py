"""Pictures inside the page itself, and what their colours mean."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO

import matplotlib as mpl
from matplotlib.figure import Figure
from PIL import Image

from shapleycam.drawing.data_uri import address, gradient, picture_address
from shapleycam.drawing.overlays import HEAT, SIGNED

_LONGEST = 320
"""Pixels of a photograph: some twice as many as the page shows."""


@dataclass(frozen=True)
class Picture:
    """What an <img> needs: the picture as an address, what it shows in words, and its size in pixels."""

    source: str
    alt: str
    width: int
    height: int


@dataclass(frozen=True)
class Bar:
    """A bar of colours with what stands at its ends."""

    colours: str
    low: str
    high: str
    what: str


def photo(image: Image.Image, alt: str) -> Picture:
    """A photograph, made as small as the page needs it."""
    small = image.convert("RGB")
    small.thumbnail((_LONGEST, _LONGEST), Image.Resampling.LANCZOS)
    return Picture(picture_address(small, "JPEG", quality=85), alt, *small.size)


def drawing(figure: Figure, alt: str) -> Picture:
    """A figure of matplotlib's, sharp at any size."""
    buffer = BytesIO()
    with mpl.rc_context({"svg.hashsalt": "shapleycam"}):  # so that the same figure is the same text
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    width, height = (round(96 * inches) for inches in figure.get_size_inches())
    return Picture(address(buffer.getvalue(), "image/svg+xml"), alt, width, height)


def heat_bar() -> Bar:
    """What the colours of a heatmap mean."""
    return Bar(gradient(HEAT), "0", "1", "heatmap: each map's own range, its strongest place being 1")


def signed_bar(largest: float, units: str) -> Bar:
    """What the colours of signed values mean."""
    return Bar(gradient(SIGNED), f"−{largest:.3g}", f"+{largest:.3g}", units)
