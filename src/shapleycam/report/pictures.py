"""Pictures as data URIs inside the page."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO

import matplotlib as mpl
from matplotlib.figure import Figure
from PIL import Image

from shapleycam.drawing.data_uri import encode_picture, make_data_uri

SVG = "image/svg+xml"
_LONGEST = 320
"""Pixels of the longer side of a photograph: about twice as many as the page shows."""


@dataclass(frozen=True)
class Picture:
    """A picture as a file of a media type, with a text in its place, and its size in pixels."""

    content: bytes
    media_type: str
    alt: str
    width: int
    height: int

    @property
    def source(self) -> str:
        """Return the picture as a data URI."""
        return make_data_uri(self.content, self.media_type)


def photograph_picture(image: Image.Image, alt: str) -> Picture:
    """Return a photograph, made as small as the page shows it."""
    small = image.convert("RGB")
    small.thumbnail((_LONGEST, _LONGEST), Image.Resampling.LANCZOS)
    return Picture(encode_picture(small, "JPEG", quality=85), "image/jpeg", alt, *small.size)


def figure_picture(figure: Figure, alt: str) -> Picture:
    """Return a matplotlib figure as SVG, which is sharp at any size."""
    buffer = BytesIO()
    with mpl.rc_context({"svg.hashsalt": "shapleycam"}):  # so that the same figure is the same text
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    width, height = (round(96 * inches) for inches in figure.get_size_inches())
    return Picture(buffer.getvalue(), SVG, alt, width, height)
