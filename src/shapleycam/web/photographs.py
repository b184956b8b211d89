"""Uploaded photographs: checked against limits, and stored as the original bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO

from PIL import Image

from shapleycam.errors import ImageError
from shapleycam.images import open_photograph, raise_image_errors

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "PPM", "JPEG2000")
"""The formats that are accepted. Pillow knows more, but some of them start other programs."""
_MEGA = 1_000_000


@dataclass(frozen=True)
class Limits:
    """Limits on the size of a photograph: as a file, and decoded."""

    megabytes: float = 20
    megapixels: float = 50


@dataclass(frozen=True)
class Photograph:
    """The bytes of a valid photograph. It is decoded only when it is needed, so that many can be stored."""

    name: str
    content: bytes

    @cached_property
    def key(self) -> str:
        """The SHA-256 hash of its content."""
        return hashlib.sha256(self.content).hexdigest()

    def image(self) -> Image.Image:
        """Decode the photograph: upright, in RGB."""
        with _reading(self.name), Image.open(BytesIO(self.content), formats=FORMATS) as opened:
            return open_photograph(opened)


def check_photograph(name: str, content: bytes, limits: Limits) -> Photograph:
    """Return a photograph for its bytes, after a test that it can be decoded.

    Raises:
        ImageError: it is over a limit, empty, not a photograph, or damaged.
    """
    if not content:
        raise ImageError(f"{name}: the file is empty (0 bytes); get the file again")
    if len(content) > limits.megabytes * _MEGA:
        raise ImageError(f"{name}: over the limit of {limits.megabytes:g} MB; make it smaller")
    with _reading(name), Image.open(BytesIO(content), formats=FORMATS) as opened:
        width, height = opened.size  # from the header: nothing is decoded yet
    if width * height > limits.megapixels * _MEGA:
        found = f"{width} x {height} is {width * height / _MEGA:,.1f} megapixels"
        raise ImageError(f"{name}: {found}, over the limit of {limits.megapixels:g}; make it smaller")
    photograph = Photograph(name, content)
    photograph.image()
    return photograph


@contextmanager
def _reading(name: str) -> Iterator[None]:
    """Return a context that turns errors of reading an image into one line about this photograph."""
    try:
        with raise_image_errors(name, "upload"):
            yield
    except ImageError as error:
        raise ImageError(str(error).replace("the image", name, 1)) from None
