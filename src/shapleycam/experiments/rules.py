"""Named choices of a protocol, and the fields in which protocols with a common table may differ."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

ClassRule = Literal["prediction", "label", "correct"]
ObjectRule = Literal["class", "any"]

MEASURED_FIELDS = ("layers", "utilities", "methods", "metrics")
"""Fields for what is measured, not how. Results whose protocols differ only in these may share a table."""
_LATER_OPTIONS = {"saco_groups": 10, "deletion_grid": 4, "smooth_draws": 10, "smooth_noise": 0.1}
"""Options of metrics that earlier versions did not have and do not store; a test checks the values."""


def complete_protocol(protocol: Mapping[str, Any]) -> dict[str, Any]:
    """Return the protocol of a manifest, with defaults for fields that older versions did not store.

    Older versions had no choice in these: removal "zero", full precision, no smoothing, and the layer's own number of
    runs. Options of metrics that they did not have get their default values.

    Examples:
        >>> complete_protocol({"seed": 0, "removal": "mean"})
        {'removal': 'mean', 'precision': 'full', 'smooth': 'none', 'runs': None, 'seed': 0}
    """
    complete = {"removal": "zero", "precision": "full", "smooth": "none", "runs": None, **protocol}
    if "options" in complete:
        complete["options"] = {**_LATER_OPTIONS, **complete["options"]}
    return complete
