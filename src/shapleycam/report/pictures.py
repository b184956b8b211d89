"""Pictures as data URIs inside the page."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO

import matplotlib as mpl
from matplotlib.figure import Figure
from PIL import Image

from shapleycam.drawing.data_uri import make_data_uri, picture_data_uri

_LONGEST = 320
"""Pixels of the longer side of a photograph: about twice as many as the page shows."""


@dataclass(frozen=True)
class Picture:
    """The attributes of an <img>: the picture as a data URI, a text in its place, and its size in pixels."""

    source: str
    alt: str
    width: int
    height: int


def photograph_picture(image: Image.Image, alt: str) -> Picture:
    """Return a photograph, made as small as the page shows it."""
    small = image.convert("RGB")
    small.thumbnail((_LONGEST, _LONGEST), Image.Resampling.LANCZOS)
    return Picture(picture_data_uri(small, "JPEG", quality=85), alt, *small.size)


def figure_picture(figure: Figure, alt: str) -> Picture:
    """Return a matplotlib figure as SVG, which is sharp at any size."""
    buffer = BytesIO()
    with mpl.rc_context({"svg.hashsalt": "shapleycam"}):  # so that the same figure is the same text
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    width, height = (round(96 * inches) for inches in figure.get_size_inches())
    return Picture(make_data_uri(buffer.getvalue(), "image/svg+xml"), alt, width, height)
