"""Whether two metrics put the methods into the same order: of each image, and of the means over images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from shapleycam.errors import OptionError
from shapleycam.experiments.results.resampling import Array, Resampler
from shapleycam.experiments.results.statistics import TIE, Estimate, column_means, estimate

FEWEST_METHODS = 3
"""Two methods have two orders alone, so that a correlation of their ranks is -1 or 1 by chance."""


@dataclass(frozen=True)
class RankAgreement:
    """Spearman's rank correlation over methods of two metrics, with 95% bootstrap intervals over images.

    Attributes:
        methods: how many methods were ranked; methods that share both figures of every image count once.
        of_means: of the methods' means over images.
        of_images: the mean over images of each image's own correlation; an image of which a metric does not tell
            the methods apart has none.

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
    """Return how far two metrics agree on the order of methods, each with one figure of an image and a method.

    Args:
        first: (images, methods), where higher is better; NaN where undefined. A method without any figure is left out.
        second: likewise, of the same images and methods.
        resampler: of the images; None for 1,000 resamples.

    Returns:
        The agreement; without numbers (NaN) where fewer than three distinct methods have figures.

    Raises:
        OptionError: the two are not of the same images and methods.

    Examples:
        >>> import numpy as np
        >>> from shapleycam.experiments.results.rank_agreement import rank_agreement
        >>> first = np.array([[0.1, 0.2, 0.3], [0.1, 0.2, 0.3]])
        >>> rank_agreement(first, first**2).of_means.mean
        1.0
    """
    if first.shape != second.shape or first.ndim != 2:
        raise OptionError(f"figures are {first.shape} and {second.shape}; expected the same (images, methods) twice")
    both = _distinct_methods(np.stack([first, second], -1).astype(float))
    both[~np.isfinite(both).all((1, 2))] = np.nan
    images, methods, _ = both.shape
    if methods < FEWEST_METHODS or not np.isfinite(both).any():
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


def rank_correlation(first: Array, second: Array) -> Array:
    """Return Spearman's rank correlation over the last axis: (..., methods) twice -> (...).

    Figures within `TIE` (1e-6) share their mean rank. NaN where one side is all ties, or has a NaN.

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


def _tied_ranks(figures: Array) -> Array:
    """Return ranks over the last axis, where figures that follow each other within `TIE` are equal; NaN for NaN."""
    order = np.argsort(figures, -1)
    ordered = np.take_along_axis(figures, order, -1)
    opens = np.diff(ordered, axis=-1, prepend=-np.inf) > TIE
    merged = np.empty_like(ordered)
    np.put_along_axis(merged, order, np.maximum.accumulate(np.where(opens, ordered, -np.inf), -1), -1)
    ranks: Array = stats.rankdata(np.where(np.isnan(figures), np.nan, merged), axis=-1, nan_policy="propagate")
    return ranks


def _distinct_methods(both: Array) -> Array:
    """Return figures (images, methods, 2) without methods that have none, or those of an earlier one throughout."""
    kept: list[int] = []
    for method in np.flatnonzero(np.isfinite(both).any(0).all(-1)):
        same = (np.isclose(both[:, method], both[:, other], rtol=0, atol=TIE, equal_nan=True).all() for other in kept)
        if not any(same):
            kept.append(int(method))
    return both[:, kept]


def _split(both: Array) -> tuple[Array, Array]:
    """Return the figures of the two metrics (..., methods), of both together (..., methods, 2)."""
    return both[..., 0], both[..., 1]
