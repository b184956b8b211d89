"""`summary` and `advice`: mean distances over images with intervals, and a recommendation of a method."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import inf, isfinite, nan
from statistics import fmean, stdev

from shapleycam.fidelity.distance import Distance
from shapleycam.intervals import half_width
from shapleycam.wording import percent

CLOSE = 0.05
"""Maximum mean relative error of values that count as close; among close methods a cheaper one is recommended."""
_SAME_COST = 0.15
"""Maximum difference, in forward passes, between the costs of two methods that count as equally expensive."""


@dataclass(frozen=True)
class Mean:
    """A mean over images and the half width of its 95% interval (Student; NaN for a single image).

    Attributes:
        value: the mean.
        half: the half width of its interval.
        count: the number of images for which the number is defined; the mean is over these.

    Examples:
        >>> from shapleycam.fidelity import Mean
        >>> mean = Mean.of([0.1, 0.3, None])
        >>> round(mean.value, 2), round(mean.half, 2), mean.count
        (0.2, 1.27, 2)
    """

    value: float
    half: float
    count: int

    @classmethod
    def of(cls, figures: Iterable[float | None]) -> Mean | None:
        """Return the mean of the figures that are neither None nor NaN nor infinite; None if there are none."""
        defined = [figure for figure in figures if figure is not None and isfinite(figure)]
        if not defined:
            return None
        if len(defined) == 1:
            return cls(defined[0], nan, 1)
        return cls(fmean(defined), half_width(stdev(defined), len(defined)), len(defined))


@dataclass(frozen=True)
class Summary:
    """Mean distances of one method with one utility, over images; a mean is None if it is defined for no image.

    Attributes:
        utility: the name of the utility.
        method: the name of the method.
        error: the relative error ‖φ̂ - φ‖ / ‖φ‖ of the method's values φ̂ from the true values φ.
        spearman: Spearman's rank correlation of φ̂ and φ.
        gap: the efficiency gap |Σφ̂ - v(N)| / |v(N)|.
        curvature: the curvature of the games, between 0 (a linear head) and 1.
        seconds: the time of an explanation, per image of the batch.
        passes: the time of an explanation, in plain forward passes.

    Examples:
        >>> from shapleycam.fidelity import Distance, summary
        >>> distances = [Distance("cat.jpg", "rest", "gradcam", 0.1, 0.9, 0.02, 0.3, seconds=0.5, passes=1.5)]
        >>> [row] = summary(distances)
        >>> row.method, row.error.value
        ('gradcam', 0.1)
    """

    utility: str
    method: str
    error: Mean | None
    spearman: Mean | None
    gap: Mean | None
    curvature: Mean | None
    seconds: Mean | None
    passes: Mean | None


def summary(distances: Sequence[Distance]) -> list[Summary]:
    """Return a row for each utility and method, sorted by utility, then by error, then by rank correlation.

    Examples:
        >>> from shapleycam.fidelity import Distance, summary
        >>> errors = {"gradcam": 0.3, "shapleycam-h": 0.1}
        >>> distances = [
        ...     Distance("cat.jpg", "rest", method, error, 0.9, 0.02, 0.3, seconds=0.5, passes=1.5)
        ...     for method, error in errors.items()
        ... ]
        >>> [row.method for row in summary(distances)]
        ['shapleycam-h', 'gradcam']
    """
    groups: dict[tuple[str, str], list[Distance]] = {}
    for distance in distances:
        groups.setdefault((distance.utility, distance.method), []).append(distance)
    rows = [
        Summary(
            utility=utility,
            method=method,
            error=Mean.of(d.error for d in group),
            spearman=Mean.of(d.spearman for d in group),
            gap=Mean.of(d.gap for d in group),
            curvature=Mean.of(d.curvature for d in group),
            seconds=Mean.of(d.seconds for d in group),
            passes=Mean.of(d.passes for d in group),
        )
        for (utility, method), group in groups.items()
    ]
    order = {utility: place for place, utility in enumerate(dict.fromkeys(d.utility for d in distances))}

    def sort_key(row: Summary) -> tuple[int, bool, float, float]:
        return order[row.utility], row.error is None, _value(row.error), -_value(row.spearman, missing=-1)

    return sorted(rows, key=sort_key)


def advice(rows: Sequence[Summary], utility: str) -> str:
    """Return a sentence that recommends one of the measured methods for a utility, with the reason.

    Args:
        rows: rows as `summary` returns them, with the best method of each utility first.
        utility: the name of one of their utilities.

    Examples:
        >>> from shapleycam.fidelity import Distance, advice, summary
        >>> distances = [Distance("cat.jpg", "rest", "hirescam", 0.3, 0.9, 0.02, 0.3, seconds=0.5, passes=1.5)]
        >>> advice(summary(distances), "rest")[:33]
        'Use hirescam for rest with care: '
    """
    measured = [row for row in rows if row.utility == utility and row.error is not None]
    if not measured:
        ranked = max((row for row in rows if row.utility == utility), key=lambda row: _value(row.spearman, missing=-1))
        return (
            f"Use {ranked.method} for {utility}: of the methods measured none is in units of the utility, and its "
            f"ranks are nearest (Spearman {_value(ranked.spearman, missing=-1):.2f})."
        )
    close = [row for row in measured if _value(row.error) <= CLOSE]
    if not close:
        best = measured[0]
        return (
            f"Use {best.method} for {utility} with care: it is the nearest of the methods measured, but its values are "
            f"{percent(_value(best.error))} from the true ones; sampledshapley gives these with their errors."
        )
    cheapest = min(_value(row.passes) for row in close)
    best = min((row for row in close if _value(row.passes) <= cheapest + _SAME_COST), key=lambda row: _value(row.error))
    others = [row for row in measured if row not in close]
    reason = (
        "as all that were measured"
        if not others
        else f"while {others[0].method} is {percent(_value(others[0].error))} off"
    )
    return (
        f"Use {best.method} for {utility}: its values are {percent(_value(best.error), 1)} from the true Shapley "
        f"values for {_value(best.passes):.2f} times the time of a forward pass, {reason}."
    )


def _value(mean: Mean | None, missing: float = inf) -> float:
    return missing if mean is None else mean.value
