"""Masks of objects from their outlines: polygons, and COCO's run lengths as numbers or as a text."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_FAR = 1e8
"""No coordinate of a photograph is as large as this."""


def mask_from_polygons(polygons: Sequence[Sequence[float]], width: int, height: int) -> NDArray[np.bool_]:
    """Return the union of polygons [x, y, x, y, ...] as a mask (height, width), by their even-odd rule.

    Coordinates are in pixels from the photograph's left and top edge.

    Raises:
        ValueError: a polygon has fewer than three points, or a coordinate that is not finite or far outside.
    """
    mask = np.zeros((height, width), dtype=np.bool_)
    for polygon in polygons:
        points = np.asarray(polygon, dtype=np.float64)
        if points.ndim != 1 or len(points) < 6 or len(points) % 2 or not (np.abs(points) < _FAR).all():
            raise ValueError("a polygon that is not the x, y of three points or more, all near the photograph")
        mask |= _fill(points.reshape(-1, 2), width, height)
    return mask


def mask_from_run_lengths(counts: Sequence[int], width: int, height: int) -> NDArray[np.bool_]:
    """Return COCO's run lengths, of zeros and ones in turn down the columns, as a mask (height, width).

    Raises:
        ValueError: they are negative, not whole numbers, or not as many pixels as the photograph.
    """
    runs = np.asarray(counts)
    if runs.ndim != 1 or runs.dtype.kind != "i" or (runs < 0).any() or sum(counts) != width * height:
        raise ValueError(f"run lengths that are not {height} x {width} pixels")
    values = np.arange(len(runs)) % 2 == 1
    mask: NDArray[np.bool_] = np.repeat(values, runs).reshape(width, height).T
    return mask


def decode_run_lengths(text: str) -> list[int]:
    """Return COCO's compressed run lengths as numbers.

    Each character holds 6 bits above "0": five of a number, lowest first, and whether more follow; the last one's
    highest bit is the sign. From the fourth number on, it is the difference from the number two before.

    Raises:
        ValueError: there are other characters, or the last number is not complete.
    """
    runs: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift > 30:
            raise ValueError(f"compressed run lengths with {character!r}")
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        value -= (bits & 16) << (shift - 4)
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value = shift = 0
    if shift:
        raise ValueError("compressed run lengths that are cut short")
    return runs


def _fill(points: NDArray[np.float64], width: int, height: int) -> NDArray[np.bool_]:
    """Fill a polygon by the even-odd rule: each edge flips what is right of it on the rows whose centres it crosses.

    Pillow's own polygons include the pixels of their outline, a pixel more than the annotation on two sides.
    """
    flips = np.zeros((height, width + 1), dtype=np.int32)
    for (x0, y0), (x1, y1) in zip(points, np.roll(points, -1, axis=0), strict=True):
        first, last = np.clip(np.ceil(np.array(sorted((y0, y1))) - 0.5), 0, height).astype(int)
        rows = np.arange(first, last)
        if len(rows):
            x = x0 + (rows + 0.5 - y0) * (x1 - x0) / (y1 - y0)
            np.add.at(flips, (rows, np.clip(np.ceil(x - 0.5), 0, width).astype(int)), 1)
    inside: NDArray[np.bool_] = flips.cumsum(axis=1, dtype=np.int32)[:, :width] % 2 == 1
    return inside
