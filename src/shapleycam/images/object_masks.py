"""Masks of objects from polygons, and from COCO's run lengths as numbers or as compressed text."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_MAX_COORDINATE = 1e8
"""Coordinates of a photograph are below this in absolute value."""


def mask_from_polygons(polygons: Sequence[Sequence[float]], width: int, height: int) -> NDArray[np.bool_]:
    """Return the union of polygons [x, y, x, y, ...], each filled by the even-odd rule, as a mask (height, width).

    Coordinates are in pixels from the photograph's left and top edge.

    Raises:
        ValueError: a polygon has fewer than three points, or a coordinate that is not finite or far outside.
    """
    mask = np.zeros((height, width), dtype=np.bool_)
    for polygon in polygons:
        points = np.asarray(polygon, dtype=np.float64)
        if points.ndim != 1 or len(points) < 6 or len(points) % 2 or not (np.abs(points) < _MAX_COORDINATE).all():
            raise ValueError("a polygon that is not the x, y of three points or more, all near the photograph")
        mask |= _fill(points.reshape(-1, 2), width, height)
    return mask


def mask_from_run_lengths(counts: Sequence[int], width: int, height: int) -> NDArray[np.bool_]:
    """Return a mask (height, width) from COCO's run lengths, alternating zeros and ones in column-major order.

    Raises:
        ValueError: the lengths are negative, not integers, or do not sum to the number of pixels.
    """
    runs = np.asarray(counts)
    if runs.ndim != 1 or runs.dtype.kind != "i" or (runs < 0).any() or sum(counts) != width * height:
        raise ValueError(f"run lengths that are not {height} x {width} pixels")
    values = np.arange(len(runs)) % 2 == 1
    mask: NDArray[np.bool_] = np.repeat(values, runs).reshape(width, height).T
    return mask


def decode_run_lengths(text: str) -> list[int]:
    """Return the numbers of COCO's compressed run lengths.

    A character's code minus that of "0" has 6 bits: five bits of a number, lowest first, and one that says whether more
    follow. The highest bit of a number's last five is its sign. From the fourth number on, the text stores the
    difference from the number two before.

    Raises:
        ValueError: the text has other characters, or ends within a number.
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
    """Return a polygon's mask by the even-odd rule.

    In each row whose centre an edge crosses, the edge flips all pixels to its right. Pillow's polygons are not used,
    because they include the pixels of the outline, which adds a pixel on two sides.
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
