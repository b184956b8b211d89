"""Scores of a metric, from its figures of maps that should be good and of maps that should not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np

from shapleycam.experiments.metric_check.result import MetricTrust, PairAgreement
from shapleycam.experiments.results.rank_agreement import image_correlations
from shapleycam.experiments.results.resampling import Array
from shapleycam.experiments.results.statistics import TIE, Estimate, column_means, estimates


def share_better(figures: Array, rivals: Array) -> Array:
    """Return for each image the share of methods whose figure is better than its rival's; a tie is half.

    Args:
        figures: (images, methods), where higher is better; NaN where undefined.
        rivals: likewise, or (images, 1) for one rival of all methods.

    Returns:
        (images,), NaN where no method has both.

    Examples:
        >>> import numpy as np
        >>> from shapleycam.experiments.metric_check.scores import share_better
        >>> share_better(np.array([[0.9, 0.5, 0.1, 0.8]]), np.array([[0.5]])).tolist()
        [0.625]
    """
    difference = figures - rivals
    with np.errstate(invalid="ignore"):
        better = (difference > TIE) + 0.5 * (np.abs(difference) <= TIE)
    return column_means(np.where(np.isnan(difference), np.nan, better).T)


def score_metrics(
    figures: Mapping[str, Array],
    of_random_maps: Mapping[str, Array],
    of_random_models: Mapping[str, Array],
    of_noise: Mapping[str, Array],
) -> tuple[list[MetricTrust], list[PairAgreement]]:
    """Return the scores of each metric, and how far each two agree.

    Args:
        figures: by metric, (images, methods), where higher is better.
        of_random_maps: likewise, of one random map of each image, (images, 1).
        of_random_models: likewise, of the maps that the methods make of models of random weights.
        of_noise: likewise, of the same images with noise, explained and measured anew.

    Examples:
        >>> import numpy as np
        >>> from shapleycam.experiments.metric_check.scores import score_metrics
        >>> figures = {"adcc": np.array([[0.9, 0.8, 0.7], [0.6, 0.5, 0.7]])}
        >>> random = {"adcc": np.array([[0.2], [0.1]])}
        >>> [trust], _ = score_metrics(figures, random, {"adcc": figures["adcc"] / 2}, figures)
        >>> trust.separation.mean, trust.reaction.mean, trust.resilience.mean
        (1.0, 1.0, 1.0)
    """
    correlations = {pair: image_correlations(figures[pair[0]], figures[pair[1]]) for pair in combinations(figures, 2)}
    trusts = [
        MetricTrust(
            name,
            separation=_mean(share_better(figures[name], of_random_maps[name])),
            reaction=_mean(share_better(figures[name], of_random_models[name])),
            resilience=_mean(image_correlations(figures[name], of_noise[name])),
            agreement=_mean(_mean_of([values for pair, values in correlations.items() if name in pair])),
        )
        for name in figures
    ]
    return trusts, [PairAgreement(*pair, _mean(values)) for pair, values in correlations.items()]


def _mean(values: Array) -> Estimate:
    """Return the mean over images, with its bootstrap interval."""
    return estimates(values[:, None])[0]


def _mean_of(several: Sequence[Array]) -> Array:
    """Return the mean for each image of several values (images,); NaN where there is none."""
    return column_means(np.stack(several)) if several else np.full(1, np.nan)
