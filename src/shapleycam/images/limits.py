"""Checks before a picture is decoded: too many pixels or JPEG scans, and formats that another program would draw."""

from __future__ import annotations

import re
from typing import IO

from PIL import Image

from shapleycam.errors import ImageError
from shapleycam.images.pillow_errors import PIXEL_LIMIT

_SCAN_LIMIT = 200
"""Largest number of scans in a JPEG. Encoders write up to 64; each scan, however short, visits all pixels again."""
_DRAWN_BY_PROGRAMS = {"EPS": "Ghostscript", "WMF": "Windows"}
_JPEG_FORMATS = {"JPEG", "MPO"}
_JPEG_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_START_OF_SCAN, _END_OF_IMAGE = 0xDA, 0xD9
_WITHOUT_LENGTH = {0x01, 0xD8}
_NEW_SUBFILE_TYPE, _REDUCED = 254, 1
"""The TIFF tag that says what a picture of the file is, and its bit for a smaller version of another picture."""


def check_before_decoding(image: Image.Image, name: str) -> None:
    """Check a picture that Pillow has opened but not decoded.

    Raises:
        ImageError: it has too many pixels, is a JPEG with too many scans, has a format that another program draws, or
            is the preview in a camera's raw file.

    Examples:
        >>> from PIL import Image
        >>> from shapleycam.images import check_before_decoding
        >>> check_before_decoding(Image.new("1", (9000, 9000)), "a")
        Traceback (most recent call last):
            ...
        shapleycam.errors.ImageError: a: 9000 x 9000 is 81,000,000 pixels, over the limit of 80,000,000; make it smaller
    """
    if (program := _DRAWN_BY_PROGRAMS.get(image.format or "")) is not None:
        raise ImageError(
            f"{name}: {image.format} is drawn by {program}, and no other program is started; convert it to PNG or JPEG"
        )
    # Pillow opens the first picture of a TIFF, which in raw files (DNG, NEF) is the preview and not the photograph.
    if getattr(image, "tag_v2", {}).get(_NEW_SUBFILE_TYPE, 0) & _REDUCED:
        raise ImageError(
            f"{name}: the first picture of this TIFF, {image.width} x {image.height} pixels, is the preview of another "
            "one, as in cameras' raw files; convert the photograph itself to PNG or JPEG"
        )
    check_size(image, name)
    file = getattr(image, "fp", None)
    if image.format in _JPEG_FORMATS and file is not None and (scans := _count_scans(file)) > _SCAN_LIMIT:
        raise ImageError(f"{name}: a JPEG of {scans:,} scans, over the limit of {_SCAN_LIMIT}; convert it to PNG")


def check_size(image: Image.Image, name: str) -> None:
    """Check the number of pixels of a picture.

    Raises:
        ImageError: there are more than `PIXEL_LIMIT`.
    """
    pixels = image.width * image.height
    if pixels > PIXEL_LIMIT:
        size = f"{image.width} x {image.height} is {pixels:,} pixels"
        raise ImageError(f"{name}: {size}, over the limit of {PIXEL_LIMIT:,}; make it smaller")


def _count_scans(file: IO[bytes]) -> int:
    """Return the number of scans in a JPEG, counted by its markers."""
    position = file.tell()
    file.seek(0)
    content = file.read()
    file.seek(position)
    scans = start = 0
    while (match := _JPEG_MARKER.search(content, start)) is not None:
        marker = content[match.start() + 1]
        if marker == _END_OF_IMAGE:
            break
        scans += marker == _START_OF_SCAN
        start = match.end()
        if marker not in _WITHOUT_LENGTH:
            start += int.from_bytes(content[start : start + 2], "big")
    return scans
