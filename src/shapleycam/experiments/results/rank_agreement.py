"""`rank_agreement`: how well two metrics agree on the order of methods, by image and by the means over images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from shapleycam.errors import OptionError
from shapleycam.experiments.results.resampling import Array, Resampler
from shapleycam.experiments.results.statistics import TIE, Estimate, column_means, estimate

FEWEST_METHODS = 3
"""Minimum number of methods; two methods have only two orders, so that their rank correlation is always -1 or 1."""


@dataclass(frozen=True)
class RankAgreement:
    """Spearman's rank correlation of two metrics over methods, with 95% bootstrap intervals over images.

    Attributes:
        methods: number of ranked methods; methods with the same values of both metrics on all images count once.
        of_means: the correlation of the methods' means over images.
        of_images: the correlation on each image, averaged over images; it is undefined for an image on which a metric
            has the same value for all methods.

    Examples:
        >>> from shapleycam.experiments.results.rank_agreement import RankAgreement
        >>> from shapleycam.experiments.results.statistics import Estimate
        >>> RankAgreement(4, Estimate(0.8, 0.6, 1.0, n=20), Estimate(0.5, 0.4, 0.6, n=20)).methods
        4
    """

    methods: int
    of_means: Estimate
    of_images: Estimate


def rank_agreement(first: Array, second: Array, resampler: Resampler | None = None) -> RankAgreement:
    """Return how well two metrics agree on the order of methods.

    Args:
        first: the values (images, methods) of one metric, where higher is better; NaN if undefined. A method without
            any value is omitted.
        second: the values of the other metric, for the same images and methods.
        resampler: draws the images; None for 1,000 resamples.

    Returns:
        The agreement; its numbers are NaN if fewer than three distinct methods have values.

    Raises:
        OptionError: the two arrays have different shapes.

    Examples:
        >>> import numpy as np
        >>> from shapleycam.experiments.results.rank_agreement import rank_agreement
        >>> first = np.array([[0.1, 0.2, 0.3], [0.1, 0.2, 0.3]])
        >>> rank_agreement(first, first**2).of_means.mean
        1.0
    """
    both = _distinct_methods(_stack(first, second))
    both[~np.isfinite(both).all((1, 2))] = np.nan
    images, methods, _ = both.shape
    if methods < FEWEST_METHODS:
        none = Estimate(np.nan, np.nan, np.nan, 0, images)
        return RankAgreement(methods, none, none)
    resampler, complete = resampler or Resampler(), int(np.isfinite(both).all((1, 2)).sum())
    of_means = estimate(
        float(rank_correlation(*_split(column_means(both)))),
        rank_correlation(*_split(resampler.means(both))),
        complete,
        images - complete,
    )
    correlations = rank_correlation(*_split(both))[:, None]
    defined = int(np.isfinite(correlations).sum())
    of_images = estimate(
        float(column_means(correlations)[0]), resampler.means(correlations)[:, 0], defined, images - defined
    )
    return RankAgreement(methods, of_means, of_images)


def image_correlations(first: Array, second: Array) -> Array:
    """Return for each image the rank correlation of two metrics over methods; arguments as in `rank_agreement`.

    Returns:
        (images,); NaN where a value is undefined or a metric has the same value for all methods, and for all images if
        fewer than three distinct methods have values.

    Raises:
        OptionError: the two arrays have different shapes.

    Examples:
        >>> import numpy as np
        >>> from shapleycam.experiments.results.rank_agreement import image_correlations
        >>> image_correlations(np.array([[0.1, 0.2, 0.3]]), np.array([[3.0, 2.0, 1.0]])).tolist()
        [-1.0]
    """
    both = _distinct_methods(_stack(first, second))
    if both.shape[1] < FEWEST_METHODS:
        return np.full(len(both), np.nan)
    return rank_correlation(*_split(both))


def rank_correlation(first: Array, second: Array) -> Array:
    """Return Spearman's rank correlation of two arrays (..., methods) over the last axis: (...).

    Values within `TIE` (1e-6) share their mean rank. NaN where all values of one array are tied, or one is NaN.

    Examples:
        >>> import numpy as np
        >>> from shapleycam.experiments.results.rank_agreement import rank_correlation
        >>> float(rank_correlation(np.array([1.0, 2.0, 3.0]), np.array([1.0, 3.0, 2.0])))
        0.5
    """
    centred = [ranks - ranks.mean(-1, keepdims=True) for ranks in map(_tied_ranks, (first, second))]
    lengths = np.sqrt((centred[0] ** 2).sum(-1) * (centred[1] ** 2).sum(-1))
    with np.errstate(invalid="ignore", divide="ignore"):
        correlation: Array = (centred[0] * centred[1]).sum(-1) / lengths
    return correlation


def _stack(first: Array, second: Array) -> Array:
    """Return the figures of two metrics as (images, methods, 2)."""
    if first.shape != second.shape or first.ndim != 2:
        raise OptionError(f"figures are {first.shape} and {second.shape}; expected the same (images, methods) twice")
    return np.stack([first, second], -1).astype(float)


def _tied_ranks(figures: Array) -> Array:
    """Return ranks over the last axis; in sorted order, neighbours within `TIE` are tied. The rank of NaN is NaN."""
    order = np.argsort(figures, -1)
    ordered = np.take_along_axis(figures, order, -1)
    starts_new_rank = np.diff(ordered, axis=-1, prepend=-np.inf) > TIE
    merged = np.empty_like(ordered)
    np.put_along_axis(merged, order, np.maximum.accumulate(np.where(starts_new_rank, ordered, -np.inf), -1), -1)
    ranks: Array = stats.rankdata(np.where(np.isnan(figures), np.nan, merged), axis=-1, nan_policy="propagate")
    return ranks


def _distinct_methods(both: Array) -> Array:
    """Return values (images, methods, 2) without methods that lack values or repeat those of an earlier method."""
    distinct: list[int] = []
    for method in np.flatnonzero(np.isfinite(both).any(0).all(-1)):
        same = (
            np.isclose(both[:, method], both[:, other], rtol=0, atol=TIE, equal_nan=True).all() for other in distinct
        )
        if not any(same):
            distinct.append(int(method))
    return both[:, distinct]


def _split(both: Array) -> tuple[Array, Array]:
    """Return the values (..., methods) of each of the two metrics, from an array (..., methods, 2)."""
    return both[..., 0], both[..., 1]
