"""A photograph as files of all the kinds that visitors have, and files that nobody should send."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from functools import cache
from io import BytesIO
from pathlib import Path
from struct import pack

import numpy as np
from PIL import Image

_ROTATED_90 = 6
"""EXIF's orientation of a camera that was held upright: to be turned clockwise before it is shown."""
_ORIENTATION = 0x0112

SCRIPT = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><script>window.harmed = 1; '
    'fetch("http://example.com")</script></svg>'
)


def _saved(picture: Image.Image, kind: str, **options: object) -> bytes:
    file = BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def _rotated(picture: Image.Image) -> bytes:
    exif = Image.Exif()
    exif[_ORIENTATION] = _ROTATED_90
    return _saved(picture.transpose(Image.Transpose.ROTATE_90), "PNG", exif=exif)


def _sixteen_bits(picture: Image.Image) -> bytes:
    return _saved(Image.fromarray(np.asarray(picture.convert("L")).astype(np.uint16) * 257), "PNG")


def _transparent(picture: Image.Image) -> bytes:
    copy = picture.copy()
    copy.putalpha(Image.linear_gradient("L").resize(picture.size))
    return _saved(copy, "PNG")


FILES: dict[str, tuple[str, Callable[[Image.Image], bytes]]] = {
    "photo.jpg": ("image/jpeg", lambda picture: _saved(picture, "JPEG", quality=90)),
    "photo.png": ("image/png", lambda picture: _saved(picture, "PNG")),
    "photo.webp": ("image/webp", lambda picture: _saved(picture, "WEBP", quality=80)),
    "photo.gif": ("image/gif", lambda picture: _saved(picture, "GIF")),
    "moving.gif": (
        "image/gif",
        lambda picture: _saved(picture, "GIF", save_all=True, append_images=[picture.convert("L")], duration=100),
    ),
    "photo.bmp": ("image/bmp", lambda picture: _saved(picture, "BMP")),
    "photo.tiff": ("image/tiff", lambda picture: _saved(picture, "TIFF")),
    "photo.avif": ("image/avif", lambda picture: _saved(picture, "AVIF")),
    "rotated.png": ("image/png", _rotated),
    "sixteen-bits.png": ("image/png", _sixteen_bits),
    "cmyk.jpg": ("image/jpeg", lambda picture: _saved(picture.convert("CMYK"), "JPEG", quality=90)),
    "transparent.png": ("image/png", _transparent),
}
"""The name of a file, its media type, and what makes it of a photograph; with EXIF the photograph is shown upright."""


@cache
def bomb(side: int) -> bytes:
    """Return a PNG of few bytes whose header promises side x side pixels, all of them there."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return pack(">I", len(content)) + kind + content + pack(">I", zlib.crc32(kind + content))

    compressor = zlib.compressobj(9)
    row = b"\0" * (1 + side // 8)
    content = b"".join(compressor.compress(row) for _ in range(side)) + compressor.flush()
    head = pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", content) + chunk(b"IEND", b"")


def cut_short(path: Path) -> bytes:
    """Return the first half of a file."""
    content = path.read_bytes()
    return content[: len(content) // 2]
