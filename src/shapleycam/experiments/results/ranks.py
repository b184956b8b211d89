"""Ranks of methods with ties, and mean ranks over several networks after Demšar (2006, JMLR 7)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import inf, sqrt

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from shapleycam.errors import OptionError
from shapleycam.experiments.results.statistics import TIE, Array
from shapleycam.metrics.metric import Direction


@dataclass(frozen=True)
class Ranks:
    """Ranks of methods by one figure.

    Attributes:
        rank: the rank of each method (methods,), from 1; ties share their mean rank, and the rank of NaN is NaN.
        best: whether each method has the best figure, possibly tied with others.
        second: whether each method has the second best figure, possibly tied with others.
    """

    rank: Array
    best: NDArray[np.bool_]
    second: NDArray[np.bool_]


def rank_methods(figures: Array, better: Direction) -> Ranks:
    """Return the ranks of methods by their figures (methods,); figures within `TIE` (1e-6) are tied."""
    losses = _merge_ties(-figures if better == "high" else figures)
    rank = stats.rankdata(losses, nan_policy="omit")
    distinct = [*np.unique(losses[np.isfinite(losses)]), inf, inf]
    return Ranks(rank, losses == distinct[0], losses == distinct[1])


def critical_difference(methods: int, networks: int, level: float = 0.05) -> float:
    """Return Nemenyi's critical difference of mean ranks, q·√(k(k+1) / 6N) (Demšar 2006, section 3.2.2).

    Methods whose mean ranks differ by more are significantly different. q is the quantile of the studentized range for
    k methods and infinite degrees of freedom, divided by √2.
    """
    q = float(stats.studentized_range.ppf(1 - level, methods, inf)) / sqrt(2)
    return q * sqrt(methods * (methods + 1) / (6 * networks))


@dataclass(frozen=True)
class NetworkRanks:
    """Ranks of methods over several networks.

    Attributes:
        rank: the mean rank of each method (methods,).
        p: the p-value of Friedman's test that all methods are equal.
        critical: Nemenyi's critical difference of mean ranks.
    """

    rank: Array
    p: float
    critical: float


def rank_over_networks(figures: Array, better: Direction) -> NetworkRanks:
    """Return the ranks of methods over networks by their figures (networks, methods).

    Raises:
        OptionError: there are fewer than two networks or three methods.
    """
    networks, methods = figures.shape
    if networks < 2 or methods < 3:
        raise OptionError(
            f"{networks} networks and {methods} methods have figures throughout; expected at least 2 networks and 3 "
            "methods to compare ranks: evaluate more of them"
        )
    ranks = np.stack([rank_methods(row, better).rank for row in figures])
    with np.errstate(invalid="ignore"):
        p = float(stats.friedmanchisquare(*ranks.T).pvalue)
    return NetworkRanks(ranks.mean(0), 1.0 if np.isnan(p) else p, critical_difference(methods, networks))


def cliques(rank: Array, critical: float) -> list[tuple[float, float]]:
    """Return (first, last) of each maximal group of mean ranks that differ by at most the critical difference."""
    ordered = np.sort(rank)
    ranges = [(first, ordered[ordered <= first + critical][-1]) for first in ordered]
    groups = [(float(first), float(last)) for first, last in ranges if last > first]
    return [
        (first, last)
        for index, (first, last) in enumerate(groups)
        if all(last > earlier_last for _, earlier_last in groups[:index])
    ]


def _merge_ties(figures: Array) -> Array:
    """Return figures in which those within `TIE` of a lower figure are replaced by it; `TIE` is relative above 1."""
    merged: Array = figures.copy()
    order = [int(index) for index in np.argsort(figures) if np.isfinite(figures[index])]
    for previous, current in pairwise(order):
        if merged[current] - merged[previous] <= TIE * max(1.0, abs(merged[previous])):
            merged[current] = merged[previous]
    return merged
