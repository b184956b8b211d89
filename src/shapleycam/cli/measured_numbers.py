"""Formatting means with intervals for tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shapleycam.wording import percent

if TYPE_CHECKING:
    from shapleycam.fidelity import Mean


def percent_of(mean: Mean | None) -> str:
    """Return a mean in percent ± half of its interval; "" if there is no mean."""
    if mean is None:
        return ""
    return percent(mean.value, 1) + ("" if mean.count == 1 else f" ± {percent(mean.half, 1)}")


def plain_of(mean: Mean | None, digits: int) -> str:
    """Return a mean ± half of its interval; "" if there is no mean."""
    if mean is None:
        return ""
    return f"{mean.value:.{digits}f}" + ("" if mean.count == 1 else f" ± {mean.half:.{digits}f}")
