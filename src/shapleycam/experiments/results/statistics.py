"""Bootstrap intervals of means over images, and paired comparisons of methods on the same resamples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import nan
from typing import TypeAlias

import numpy as np

from shapleycam.experiments.results.resampling import RESAMPLES, Array, Resampler

Combine: TypeAlias = Callable[[Array], Array]
"""A function that computes a figure from the means of several parts: (..., parts) -> (...)."""

TIE = 1e-6
"""Figures that differ by at most this are tied; the means of maps that are equal up to rounding differ by 1e-8."""
LEVEL = 0.05
"""The level of tests; intervals contain the rest, 95%."""


@dataclass(frozen=True)
class Estimate:
    """A mean over images with its 95% interval.

    Attributes:
        mean: the mean over the images for which the value is defined; NaN if there are none.
        low: lower end of the 95% interval; NaN if `n` is below 2.
        high: upper end of the 95% interval; NaN if `n` is below 2.
        n: number of images for which the value is defined.
        undefined: number of images for which it is not.
    """

    mean: float
    low: float
    high: float
    n: int
    undefined: int = 0


@dataclass(frozen=True)
class Lead:
    """The difference between the figures of two methods, over the images for which both are defined.

    Attributes:
        mean: the difference.
        low: lower end of the 95% interval.
        high: upper end of the 95% interval.
        n: number of images for which both are defined.
        p: two-sided p-value.
        significant: whether the 95% interval lies above 0 and p is at most 0.05.
    """

    mean: float
    low: float
    high: float
    n: int
    p: float
    significant: bool


def column_means(values: Array) -> Array:
    """Return the mean of each column over its finite values: (images, ...) -> (...); NaN if there are none."""
    defined = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        mean: Array = np.where(defined, values, 0.0).sum(0) / defined.sum(0)
    return mean


def estimates(values: Array, resamples: int = RESAMPLES, seed: int = 0) -> list[Estimate]:
    """Return the mean with its interval for each method, from values (images, methods); NaN marks undefined values.

    The result is reproducible to the last bit if the images are always in the same order.
    """
    mean_values, drawn = column_means(values), Resampler(resamples, seed).means(values)
    count = np.isfinite(values).sum(0)
    return [
        estimate(float(mean), column, int(n), len(values) - int(n))
        for mean, column, n in zip(mean_values, drawn.T, count, strict=True)
    ]


def estimate(mean: float, drawn: Array, n: int, undefined: int) -> Estimate:
    """Return a mean with the 95% percentile interval of its resampled values (resamples,)."""
    low, high = _interval(drawn) if n > 1 else (nan, nan)
    return Estimate(mean, low, high, n, undefined)


def pair_values(first: Array, second: Array) -> Array:
    """Return two methods' values (images, parts) as (images, 2, parts); NaN for images with any undefined value."""
    both = np.stack([first, second], axis=1)
    both[~np.isfinite(both).all((1, 2))] = np.nan
    return both


def lead(first: Array, second: Array, resamples: int = RESAMPLES, seed: int = 0) -> Lead:
    """Return the lead of `first` (images,) over `second`, on the same resamples of the same images."""
    pair = pair_values(first[:, None], second[:, None])
    return lead_from_resamples(pair, Resampler(resamples, seed).means(pair), single_mean)


def lead_from_resamples(pair: Array, drawn: Array, combine: Combine) -> Lead:
    """Return the lead of the first of a pair (images, 2, parts) from its resampled means (resamples, 2, parts).

    The bootstrap is too certain for few images. So p is at least 2 / 2ⁿ, the p-value of the sign test if all n
    differences have the same sign. Because of this, a lead on fewer than six images is never significant.
    """
    n = int(np.isfinite(pair).all((1, 2)).sum())
    if n < 2:
        return Lead(nan, nan, nan, n, nan, significant=False)
    mean = float(_difference(combine(column_means(pair))))
    differences = _difference(combine(drawn))
    differences = differences[np.isfinite(differences)]
    low, high = _interval(differences)
    p = max(_two_sided(differences), 2.0 ** (1 - n))
    return Lead(mean, low, high, n, p, significant=low > 0 and p <= LEVEL)


def holm(p: Sequence[float]) -> list[float]:
    """Return p-values corrected for multiple tests by Holm's step-down method (Holm 1979).

    NaN stays, and does not count as a test. This is our own code because scipy has only the false discovery rate, and
    statsmodels depends on pandas.
    """
    corrected = np.array(p, dtype=float)
    order = [int(index) for index in np.argsort(corrected) if np.isfinite(corrected[index])]
    steps = [min(1.0, (len(order) - step) * corrected[index]) for step, index in enumerate(order)]
    corrected[order] = np.maximum.accumulate(steps) if steps else []
    return [float(value) for value in corrected]


def single_mean(parts: Array) -> Array:
    """Return the mean of the only part: (..., 1) -> (...)."""
    mean: Array = parts[..., 0]
    return mean


def harmonic_mean(parts: Array) -> Array:
    """Return the harmonic mean over the last axis: 0 if a part is 0 or less, but NaN if a part is NaN."""
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = parts.shape[-1] / (1 / parts).sum(-1)
    mean = np.where((parts <= 0).any(-1), 0.0, mean)
    return np.where(np.isnan(parts).any(-1), np.nan, mean)


def _difference(figures: Array) -> Array:
    """Return the first minus the second element of the last axis; 0 if the difference is at most `TIE`."""
    difference = figures[..., 0] - figures[..., 1]
    return np.where(np.abs(difference) <= TIE, 0.0, difference)


def _interval(drawn: Array) -> tuple[float, float]:
    drawn = drawn[np.isfinite(drawn)]
    if not drawn.size:
        return nan, nan
    low, high = np.quantile(drawn, [LEVEL / 2, 1 - LEVEL / 2])
    return float(low), float(high)


def _two_sided(differences: Array) -> float:
    """Return the two-sided p-value: twice the fraction of differences on the rarer side of 0.

    The data count as one more resample on that side, so that p is never 0.
    """
    rarer = min(int((differences <= 0).sum()), int((differences >= 0).sum()))
    return min(1.0, 2 * (rarer + 1) / (len(differences) + 1))
