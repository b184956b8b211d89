"""Converting pictures with more than 8 bits per sample to 8 bits; pictures without a known white value are refused."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

from shapleycam.errors import ImageError
from shapleycam.images.sample_format import SampleFormat

_FULL = 65535
_ROWS = 64
"""Number of rows that are converted at once."""
_DARK = 1 << 15
"""If all samples of a 16-bit picture are below this, the picture may really have fewer bits."""


def convert_deep_grey(image: Image.Image, samples: SampleFormat, name: str) -> tuple[Image.Image, str | None]:
    """Convert a grey picture of 16 or 32 bits per sample to 8 bits; return it and a remark on its white, or None.

    Pillow's own conversion would clip at 255, which makes nearly all pixels white. The white value is the one that the
    file declares, or else the largest of its depth; it is not guessed from the content (docs/decisions.md, "White is
    declared").

    Raises:
        ImageError: the white value is not known.
    """
    values = np.asarray(image)
    low, high = float(values.min()), float(values.max())
    white = _white_of(values, samples, image.mode)
    if white is None or not 0 <= low <= high <= white:
        raise ImageError(_unknown_white(image.mode, samples, low, high, name))
    shown = np.empty(values.shape, dtype=np.uint8)
    transparent = image.info.get("transparency")
    for start in range(0, len(values), _ROWS):  # in parts, because floats take eight bytes per pixel
        rows = values[start : start + _ROWS].astype(np.float64)
        light = white - rows if samples.min_is_white else rows
        if isinstance(transparent, int):
            light = np.where(rows == transparent, white, light)
        shown[start : start + _ROWS] = np.round(light * (255 / white))
    remark = _remark_on_white(high, name) if white == _FULL and samples.white != _FULL else None
    return Image.fromarray(shown), remark


def check_deep_colours(image: Image.Image, samples: SampleFormat, name: str) -> str | None:
    """Return a remark on the white of a colour picture of 16 bits per sample, or None; Pillow kept the upper 8 bits.

    Raises:
        ImageError: the declared white, or a transparent colour, needs the lower 8 bits.
    """
    if isinstance(image.info.get("transparency"), tuple):
        raise ImageError(
            f"{name}: a transparent colour of 16 bits, which the 8 bits that Pillow reads cannot match; convert it to "
            "8 bits, or give it an alpha channel"
        )
    bands = image.getextrema()[:3]
    high = max(int(band[1]) for band in bands if isinstance(band, tuple))
    if samples.white is not None and samples.white < _FULL:
        white = int(samples.white)
        if not samples.may_be_scaled or high <= white >> 8:
            raise ImageError(
                f"{name}: colours whose declared white is {white} of {_FULL}, of which Pillow reads the upper 8 bits; "
                "convert it to 8 bits"
            )
        return None
    return _remark_on_white(high * 257, name) if samples.white is None and image.mode != "CMYK" else None


def _white_of(values: np.ndarray[Any, Any], samples: SampleFormat, mode: str) -> float | None:
    """Return the value of white, or None if it is not known."""
    high = float(values.max())
    if samples.white is not None:
        return _FULL if samples.may_be_scaled and _is_scaled(values, samples.white) else samples.white
    if mode.startswith("F"):
        return None
    if samples.depth == 16:
        return None if samples.signed else _FULL
    # 32-bit integers up to 255 may be 8-bit samples, or a nearly black picture of 16 bits: the file does not say which.
    return _FULL if high > 255 or high == 0 else None


def _is_scaled(values: np.ndarray[Any, Any], white: float) -> bool:
    """Return whether samples from 0 to `white` were scaled up to 16 bits.

    The PNG standard allows three ways: multiplying, shifting, and shifting with repetition of the bits. Some programs
    do not scale the samples at all.
    """
    if values.max() > white:
        return True
    bits = int(white).bit_length()
    whole = np.unique(values).astype(np.int64)
    shifted = whole >> (16 - bits) << (16 - bits)
    repeated = shifted
    for times in range(1, -(-16 // bits)):
        repeated = repeated | shifted >> times * bits
    nearest = np.round(np.round(whole * white / _FULL) * _FULL / white)
    return any(bool((whole == scaled).all()) for scaled in (shifted, repeated, nearest))


def _remark_on_white(high: float, name: str) -> str | None:
    """Return a remark for a picture whose samples are all below half of their range, and None for other pictures."""
    if not 0 < high < _DARK:
        return None
    bits = max(8, int(high).bit_length())
    return (
        f"{name}: the largest sample is {high:.0f} of {_FULL}, and the file does not declare fewer than 16 bits: read "
        f"with white at {_FULL}, thus dark; if white is {2**bits - 1} ({bits} bits), scale it up, or declare the bits "
        "(sBIT of PNG, MaxSampleValue of TIFF)"
    )


def _unknown_white(mode: str, samples: SampleFormat, low: float, high: float, name: str) -> str:
    """Return the message for a picture whose white value is not known, or does not fit its samples."""
    kind = "signed 16-bit" if samples.signed and samples.depth == 16 else f"{16 if samples.depth == 16 else 32}-bit"
    values = f"{kind} grey values from {low:g} to {high:g}"
    if samples.white is not None:
        return f"{name}: {values}, and a declared white of {samples.white:g}; expected values from 0 to it: convert it"
    if not mode.startswith("F") and 0 <= low <= high <= 255:
        return (
            f"{name}: {values}, whose white may be 255 or {_FULL}; convert it to 8 bits (uint8) if it is 255, "
            "otherwise to 16 bits (uint16)"
        )
    return f"{name}: {values}, whose white is not known; convert it to 8 or 16 bits"
