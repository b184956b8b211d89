"""The sample format that a picture's file declares: bits per sample, the white value, and whether 0 is white."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from PIL import Image

_MIN_IS_WHITE, _PALETTE = 0, 3
_SIGNED, _FLOAT = 2, 3
_SEPARATE_PLANES = 2
_UNCOMPRESSED = 1
_BITS_PER_SAMPLE, _COMPRESSION, _PHOTOMETRIC, _PLANES, _COLOR_MAP = 258, 259, 262, 284, 320
_MAX_SAMPLE_VALUE, _SAMPLE_FORMAT, _SMAX_SAMPLE_VALUE = 281, 339, 341


@dataclass(frozen=True)
class SampleFormat:
    """The declared format of a picture's samples.

    Attributes:
        depth: bits per stored sample; None if the file declares no depth, or more than 16.
        white: the declared largest value; None without a declaration.
        may_be_scaled: whether samples may have been scaled from `white` up to the whole depth, as PNG prescribes.
        min_is_white: whether 0 is white and the largest value is black.
        signed: whether samples may be negative.
        unreadable: the reason why Pillow reads wrong numbers; None if it reads the right ones.
    """

    depth: int | None = None
    white: float | None = None
    may_be_scaled: bool = False
    min_is_white: bool = False
    signed: bool = False
    unreadable: str | None = None


def read_sample_format(image: Image.Image) -> SampleFormat:
    """Return the sample format that the file of an image declares; `image` is as Pillow opened it."""
    tags = getattr(image, "tag_v2", None)
    if image.format == "TIFF" and tags:  # an image that was pickled has no tags
        return _read_tiff(tags)
    if image.format == "PNG":
        return _read_png(image)
    if image.mode.startswith("I") and image.format == "JPEG2000":  # Pillow scales from the declared depth to 16 bits
        return SampleFormat(depth=16, white=65535)
    in_16_bits = image.mode.startswith("I;16") and image.format in {None, "TIFF"}
    if in_16_bits or (image.mode == "I" and image.format == "PPM"):
        return SampleFormat(depth=16)
    return SampleFormat()


def _read_tiff(tags: Any) -> SampleFormat:
    bits = set(tags.get(_BITS_PER_SAMPLE, (1,)))
    depth = max(bits)
    whites = {_largest(tags[tag]) for tag in (_MAX_SAMPLE_VALUE, _SMAX_SAMPLE_VALUE) if tag in tags}
    # By the standard a largest value other than 2^n - 1 is a statistic of the content, so it does not declare white.
    formats = tags.get(_SAMPLE_FORMAT, (1,))
    declared = {white for white in whites if _is_full(white) or (white == 1 and _FLOAT in formats)}
    white = min(declared, default=4095.0 if depth == 12 else None)
    return SampleFormat(
        depth=depth if depth <= 16 else None,
        white=white,
        min_is_white=tags.get(_PHOTOMETRIC, _MIN_IS_WHITE) == _MIN_IS_WHITE,
        signed=_SIGNED in formats,
        unreadable=_why_unreadable(tags, depth),
    )


def _why_unreadable(tags: Any, depth: int) -> str | None:
    """Return the reason why Pillow reads wrong numbers from a TIFF, or None if it reads the right ones."""
    separate = tags.get(_PLANES, 1) == _SEPARATE_PLANES and len(tags.get(_BITS_PER_SAMPLE, (1,))) > 1
    if separate and depth > 8 and tags.get(_COMPRESSION, _UNCOMPRESSED) == _UNCOMPRESSED:
        return f"uncompressed colours of {depth} bits in separate planes"
    if tags.get(_PHOTOMETRIC) == _PALETTE and 0 < max(tags.get(_COLOR_MAP, (0,))) < 256:
        return f"a palette whose largest value is {max(tags[_COLOR_MAP])} where 65535 is full"
    return None


def _largest(value: Any) -> float:
    return float(max(value)) if isinstance(value, tuple) else float(value)


def _is_full(value: float) -> bool:
    """Return whether a number is 2^n - 1 with n >= 8, the largest value of n bits."""
    return value >= 255 and value.is_integer() and int(value) & (int(value) + 1) == 0


def _read_png(image: Image.Image) -> SampleFormat:
    content = getattr(image, "fp", None)
    if content is None:  # Pillow closes the file after it has read the pixels
        path = Path(str(getattr(image, "filename", "") or "."))
        if not path.is_file():
            return SampleFormat(depth=16 if image.mode.startswith("I") else None)
        with path.open("rb") as file:
            return _read_png_header(file)
    position = content.tell()
    try:
        return _read_png_header(content)
    finally:
        content.seek(position)


def _read_png_header(file: IO[bytes]) -> SampleFormat:
    """Return the sample format from the chunks IHDR and sBIT, which come before the pixels."""
    file.seek(8)
    depth: int | None = None
    white = None
    while len(head := file.read(8)) == 8:
        length, kind = struct.unpack(">I4s", head)
        if kind in {b"IDAT", b"IEND", b"PLTE"}:
            break
        content = file.read(min(length, 64))
        if kind == b"IHDR" and len(content) > 8:
            depth = content[8]
        if kind == b"sBIT" and content and depth == 16 and max(content) <= 16:
            white = 2.0 ** max(content) - 1
        file.seek(length - len(content) + 4, 1)
    return SampleFormat(depth=depth, white=white, may_be_scaled=white is not None)
