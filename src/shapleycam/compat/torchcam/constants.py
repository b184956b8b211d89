"""Refusal of numbers that a method here has not."""

from __future__ import annotations

from shapleycam.errors import OptionError


def check_constants(given: dict[str, float], expected: dict[str, float]) -> None:
    """Refuse numbers that the method here has not.

    Raises:
        OptionError: one differs.

    Examples:
        >>> from shapleycam.compat.torchcam.constants import check_constants
        >>> check_constants({"num_samples": 4}, {"num_samples": 4})
    """
    if given != expected:
        found, known = (", ".join(f"{name}={value}" for name, value in each.items()) for each in (given, expected))
        raise OptionError(f"{found}; expected {known}, which the method here has: leave them out")
