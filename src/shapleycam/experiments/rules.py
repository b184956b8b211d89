"""Choices of a protocol that are known by name, and which of its fields may differ in one table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

ClassRule = Literal["prediction", "label", "correct"]
ObjectRule = Literal["class", "any"]

MEASURED_FIELDS = ("layers", "utilities", "methods", "metrics")
"""What is measured, rather than how: results of protocols that differ in these alone may share a table."""
_LATER_OPTIONS = {"saco_groups": 10, "deletion_grid": 4, "smooth_draws": 10, "smooth_noise": 0.1}
"""Options of metrics that runs of earlier versions, which lack these metrics, do not store; a test holds the values."""


def complete_protocol(protocol: Mapping[str, Any]) -> dict[str, Any]:
    """Return the protocol of a manifest with what older versions took for granted: removal zero, full precision, maps
    that are not smoothed, runs as the layer has them, and the options of metrics that they did not have.

    Examples:
        >>> complete_protocol({"seed": 0, "removal": "mean"})
        {'removal': 'mean', 'precision': 'full', 'smooth': 'none', 'runs': None, 'seed': 0}
    """
    complete = {"removal": "zero", "precision": "full", "smooth": "none", "runs": None, **protocol}
    if "options" in complete:
        complete["options"] = {**_LATER_OPTIONS, **complete["options"]}
    return complete
