"""`score_metrics`: scores metrics by their values for maps that should be good and for maps that should not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np

from shapleycam.experiments.metric_check.result import MetricTrust, PairAgreement
from shapleycam.experiments.results.rank_agreement import image_correlations
from shapleycam.experiments.results.resampling import Array
from shapleycam.experiments.results.statistics import TIE, Estimate, column_means, estimates


def share_better(figures: Array, rivals: Array) -> Array:
    """Return for each image the fraction of methods whose value is higher than the rival value; a tie counts half.

    Args:
        figures: values (images, methods), where higher is better; NaN if undefined.
        rivals: the rival values (images, methods), or (images, 1) for one rival of all methods.

    Returns:
        (images,), NaN if both values are defined for no method.

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
    """Return the scores of each metric, and the agreement of each pair of metrics.

    Args:
        figures: values (images, methods) by metric, where higher is better.
        of_random_maps: values (images, 1) by metric, for one random map of each image.
        of_random_models: values as `figures`, for the methods' maps of models with random weights.
        of_noise: values as `figures`, for the same images with noise, explained and measured again.

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
            agreement=_mean(_mean_over([values for pair, values in correlations.items() if name in pair])),
        )
        for name in figures
    ]
    return trusts, [PairAgreement(*pair, _mean(values)) for pair, values in correlations.items()]


def _mean(values: Array) -> Estimate:
    """Return the mean over images, with its bootstrap interval."""
    return estimates(values[:, None])[0]


def _mean_over(arrays: Sequence[Array]) -> Array:
    """Return for each image the mean over several arrays (images,); a single NaN if there are no arrays."""
    return column_means(np.stack(arrays)) if arrays else np.full(1, np.nan)
