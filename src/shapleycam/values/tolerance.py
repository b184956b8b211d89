"""Tolerances of the estimators."""

from __future__ import annotations

from shapleycam.errors import OptionError


def check_tolerance(tolerance: float) -> None:
    """Refuse a tolerance that nothing can keep.

    Raises:
        OptionError: it is not positive.
    """
    if not tolerance > 0:
        raise OptionError(f"tolerance is {tolerance}; expected a positive number, such as 0.01 for 1%")
