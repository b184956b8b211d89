"""What a mean over images is worth: bootstrap intervals, and paired comparisons on the same resamples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import nan
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float64]
Combine: TypeAlias = Callable[[Array], Array]
"""Makes one figure of the means of several parts: (..., parts) -> (...)."""

RESAMPLES = 1000
TIE = 1e-6
"""Figures this near are equal: maps that are one map before pooling differ by rounding, and their means by 1e-8."""
_LEVEL = 0.05
_CHUNK_BYTES = 1 << 25


@dataclass(frozen=True)
class Estimate:
    """A mean over the `n` images where a figure is defined, and its 95 % interval; `undefined` images have none.

    The mean is NaN where n is 0, the interval where n is below 2.
    """

    mean: float
    low: float
    high: float
    n: int
    undefined: int = 0


@dataclass(frozen=True)
class Lead:
    """By how much one method's figure is above another's over the `n` images where both are defined.

    `p` is two-sided; `significant`, whether the 95 % interval lies above 0 and p is at most 0.05.
    """

    mean: float
    low: float
    high: float
    n: int
    p: float
    significant: bool


def means(values: Array) -> Array:
    """The mean of each column over what is finite in it: (images, ...) -> (...), NaN where nothing is."""
    defined = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        found: Array = np.where(defined, values, 0.0).sum(0) / defined.sum(0)
    return found


def resampled_means(values: Array, resamples: int = RESAMPLES, seed: int = 0) -> Array:
    """The means of as many images drawn with replacement, time and again: (images, ...) -> (resamples, ...).

    All columns see the same draws. What is not finite is left out of its column's mean; a draw without any is NaN.
    """
    images, flat = len(values), values.reshape(len(values), -1)
    defined = np.isfinite(flat)
    partly = ~defined.all(0)
    filled, there = np.where(defined, flat, 0.0), defined[:, partly].astype(float)
    generator = np.random.default_rng(seed)
    rows = max(1, min(resamples, _CHUNK_BYTES // (8 * max(images, 1))))
    found = np.empty((resamples, flat.shape[1]))
    for start in range(0, resamples, rows):
        counts = _counts(generator, images, min(rows, resamples - start))
        part = found[start : start + rows]
        np.matmul(counts, filled, out=part)
        part[:, ~partly] /= images
        with np.errstate(invalid="ignore"):
            part[:, partly] /= counts @ there
    return found.reshape(resamples, *values.shape[1:])


def resampled_together(tables: Sequence[Array], resamples: int = RESAMPLES, seed: int = 0) -> list[Array]:
    """`resampled_means` of several tables of the same images, in one pass over the draws."""
    flat = [table.reshape(len(table), -1) for table in tables]
    drawn = resampled_means(np.concatenate(flat, axis=1), resamples, seed)
    split = np.split(drawn, np.cumsum([each.shape[1] for each in flat])[:-1], axis=1)
    return [each.reshape(resamples, *table.shape[1:]) for each, table in zip(split, tables, strict=True)]


def estimates(values: Array, resamples: int = RESAMPLES, seed: int = 0) -> list[Estimate]:
    """Of each method, the mean and its interval: (images, methods), NaN where undefined.

    Images come in the order of their numbers, so that the same images give the same figures to the last bit.
    """
    found, drawn = means(values), resampled_means(values, resamples, seed)
    count = np.isfinite(values).sum(0)
    return [
        estimate(float(mean), column, int(n), len(values) - int(n))
        for mean, column, n in zip(found, drawn.T, count, strict=True)
    ]


def estimate(mean: float, drawn: Array, n: int, undefined: int) -> Estimate:
    """A mean with the 95 % percentile interval of its resampled values (resamples,)."""
    low, high = _interval(drawn) if n > 1 else (nan, nan)
    return Estimate(mean, low, high, n, undefined)


def paired(one: Array, other: Array) -> Array:
    """Two methods' values (images, parts) as (images, 2, parts), NaN in images where not all are defined."""
    both = np.stack([one, other], axis=1)
    both[~np.isfinite(both).all((1, 2))] = np.nan
    return both


def lead(one: Array, other: Array, resamples: int = RESAMPLES, seed: int = 0) -> Lead:
    """How far `one` (images,) is above `other`, on the same images and the same resamples of them."""
    pair = paired(one[:, None], other[:, None])
    return lead_of(pair, resampled_means(pair, resamples, seed), only)


def lead_of(pair: Array, drawn: Array, combine: Combine) -> Lead:
    """The lead of the first of a `paired` (images, 2, parts) by its resampled means (resamples, 2, parts).

    Resamples of few images say too much: where all n differences have one sign, no test can give less than
    2 / 2ⁿ (the sign test), so p is not below that, and fewer than six images are never significant.
    """
    n = int(np.isfinite(pair).all((1, 2)).sum())
    if n < 2:
        return Lead(nan, nan, nan, n, nan, significant=False)
    mean = float(_difference(combine(means(pair))))
    differences = _difference(combine(drawn))
    differences = differences[np.isfinite(differences)]
    low, high = _interval(differences)
    p = max(_two_sided(differences), 2.0 ** (1 - n))
    return Lead(mean, low, high, n, p, significant=low > 0 and p <= _LEVEL)


def only(parts: Array) -> Array:
    """A figure that has one part: its mean."""
    found: Array = parts[..., 0]
    return found


def harmonic(parts: Array) -> Array:
    """The harmonic mean of the last axis: 0 where a part is 0 or less, NaN where one is NaN."""
    with np.errstate(divide="ignore", invalid="ignore"):
        found = parts.shape[-1] / (1 / parts).sum(-1)
    found = np.where((parts <= 0).any(-1), 0.0, found)
    return np.where(np.isnan(parts).any(-1), np.nan, found)


def _counts(generator: np.random.Generator, images: int, rows: int) -> Array:
    """How often each image is drawn: (rows, images)."""
    drawn = generator.integers(images, size=(rows, images))
    counts = np.empty((rows, images))
    for row, each in zip(counts, drawn, strict=True):
        row[:] = np.bincount(each, minlength=images)
    return counts


def _difference(figures: Array) -> Array:
    """First minus second on the last axis; what is rounding is 0."""
    found = figures[..., 0] - figures[..., 1]
    return np.where(np.abs(found) <= TIE, 0.0, found)


def _interval(drawn: Array) -> tuple[float, float]:
    drawn = drawn[np.isfinite(drawn)]
    if not drawn.size:
        return nan, nan
    low, high = np.quantile(drawn, [_LEVEL / 2, 1 - _LEVEL / 2])
    return float(low), float(high)


def _two_sided(differences: Array) -> float:
    """Twice the share of the differences on the rarer side of 0, with the data themselves as one more resample."""
    rarer = min(int((differences <= 0).sum()), int((differences >= 0).sum()))
    return min(1.0, 2 * (rarer + 1) / (len(differences) + 1))
