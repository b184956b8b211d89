"""Who is best: ranks with ties, and ranks over several networks after Demšar (2006, JMLR 7)."""

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
class Standing:
    """Of each method (methods,): its rank from 1, ties sharing their mean rank and what is NaN having none (NaN).

    `best` are all that share the best figure, `second` all that share the next one.
    """

    rank: Array
    best: NDArray[np.bool_]
    second: NDArray[np.bool_]


def standing(figures: Array, better: Direction) -> Standing:
    """The methods in their order, by one figure each; those within `TIE` (1e-6) are equal."""
    losses = _settled(-figures if better == "high" else figures)
    rank = stats.rankdata(losses, nan_policy="omit")
    distinct = [*np.unique(losses[np.isfinite(losses)]), inf, inf]
    return Standing(rank, losses == distinct[0], losses == distinct[1])


def critical_difference(methods: int, networks: int, level: float = 0.05) -> float:
    """Nemenyi's: mean ranks that differ by more are of unlike methods, q·√(k(k+1) / 6N) (Demšar 2006, section 3.2.2).

    q is the studentized range's quantile for k methods and infinite degrees of freedom, over √2.
    """
    q = float(stats.studentized_range.ppf(1 - level, methods, inf)) / sqrt(2)
    return q * sqrt(methods * (methods + 1) / (6 * networks))


@dataclass(frozen=True)
class Ranking:
    """Mean ranks (methods,) over networks, Friedman's p that all methods are alike, and the critical difference."""

    rank: Array
    p: float
    critical: float


def ranking(figures: Array, better: Direction) -> Ranking:
    """The mean ranks of methods over networks, of figures (networks, methods).

    Raises:
        OptionError: fewer than two networks or three methods.
    """
    networks, methods = figures.shape
    if networks < 2 or methods < 3:
        raise OptionError(
            f"{networks} networks and {methods} methods have figures throughout; expected at least 2 networks and 3 "
            "methods to compare ranks: evaluate more (--model, --method)"
        )
    ranks = np.stack([standing(each, better).rank for each in figures])
    with np.errstate(invalid="ignore"):
        p = float(stats.friedmanchisquare(*ranks.T).pvalue)
    return Ranking(ranks.mean(0), 1.0 if np.isnan(p) else p, critical_difference(methods, networks))


def cliques(rank: Array, critical: float) -> list[tuple[float, float]]:
    """The widest groups of mean ranks that do not differ by more than the critical difference: (first, last) each."""
    ordered = np.sort(rank)
    reach = [(first, ordered[ordered <= first + critical][-1]) for first in ordered]
    wide = [(float(first), float(last)) for first, last in reach if last > first]
    return [each for place, each in enumerate(wide) if place == 0 or each[1] > max(last for _, last in wide[:place])]


def _settled(figures: Array) -> Array:
    """Figures of which those within `TIE` of the lowest of them are made equal; of figures above 1, in proportion."""
    found: Array = figures.copy()
    order = [int(place) for place in np.argsort(figures) if np.isfinite(figures[place])]
    for before, here in pairwise(order):
        if found[here] - found[before] <= TIE * max(1.0, abs(found[before])):
            found[here] = found[before]
    return found
