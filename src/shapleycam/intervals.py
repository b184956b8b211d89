"""Half widths of Student's confidence intervals, which every ± in tables, figures and on the terminal shows."""

from __future__ import annotations

from math import nan, sqrt


def student_quantile(count: int, confidence: float = 0.95) -> float:
    """Return Student's two-sided quantile: half the interval of a mean of `count` values, in standard errors.

    Returns:
        The quantile with count - 1 degrees of freedom; NaN for fewer than two values, which have no interval.

    Examples:
        >>> round(student_quantile(2), 2), round(student_quantile(1000), 2)
        (12.71, 1.96)
    """
    from scipy.special import stdtrit  # here, because it takes 0.15 s, and few explanations need it

    return float(stdtrit(count - 1, (1 + confidence) / 2)) if count > 1 else nan


def half_width(deviation: float, count: int, confidence: float = 0.95) -> float:
    """Return half the width of a mean's confidence interval; NaN for fewer than two values.

    Args:
        deviation: the values' standard deviation, with divisor count - 1.
        count: the number of values.
        confidence: the confidence level, between 0 and 1.

    Examples:
        >>> round(half_width(1.0, 4), 3)
        1.591
    """
    return student_quantile(count, confidence) * deviation / sqrt(count) if count > 1 else nan
