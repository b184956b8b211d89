"""Pictures for a report, which embeds them as data URIs."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO

import matplotlib as mpl
from matplotlib.figure import Figure
from PIL import Image

from shapleycam.drawing.data_uri import encode_picture, make_data_uri

SVG = "image/svg+xml"
_LONGEST = 320
"""Longer side of a photograph in pixels, about twice its displayed size."""


@dataclass(frozen=True)
class Picture:
    """A picture as the bytes of a file, with its media type, alternative text, and size in pixels."""

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
    """Return a photograph as a JPEG, scaled down for the page."""
    small = image.convert("RGB")
    small.thumbnail((_LONGEST, _LONGEST), Image.Resampling.LANCZOS)
    return Picture(encode_picture(small, "JPEG", quality=85), "image/jpeg", alt, *small.size)


def figure_picture(figure: Figure, alt: str) -> Picture:
    """Return a matplotlib figure as SVG, which is sharp at any size."""
    buffer = BytesIO()
    with mpl.rc_context({"svg.hashsalt": "shapleycam"}):  # so that equal figures give equal files
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    width, height = (round(96 * inches) for inches in figure.get_size_inches())
    return Picture(buffer.getvalue(), SVG, alt, width, height)
