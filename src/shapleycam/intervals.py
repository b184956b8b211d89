"""Half widths of Student's confidence intervals: the one kind of ± in tables, figures and on the terminal."""

from __future__ import annotations

from math import nan, sqrt


def student_quantile(count: int, confidence: float = 0.95) -> float:
    """Return how many standard errors of the mean of `count` values its interval reaches to either side.

    Returns:
        Student's quantile with count - 1 degrees of freedom; NaN for fewer than two values, which have no interval.

    Examples:
        >>> round(student_quantile(2), 2), round(student_quantile(1000), 2)
        (12.71, 1.96)
    """
    from scipy.special import stdtrit  # 0.15 s that an explanation without standard errors does not need

    return float(stdtrit(count - 1, (1 + confidence) / 2)) if count > 1 else nan


def half_width(deviation: float, count: int, confidence: float = 0.95) -> float:
    """Return half the width of the interval of a mean, from the values' standard deviation and their number.

    Args:
        deviation: the sample's standard deviation, with count - 1 as its divisor.
        count: of the values.
        confidence: of the interval, between 0 and 1.

    Examples:
        >>> round(half_width(1.0, 4), 3)
        1.591
    """
    return student_quantile(count, confidence) * deviation / sqrt(count) if count > 1 else nan
