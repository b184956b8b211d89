"""How good a heatmap is: the table of metrics, and each metric as a function.

`shapleycam.metrics.average_drop(explainer, images, explanation)` returns one number for each image, and so does the
function of every other row of `METRICS`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from shapleycam.metrics._measure import measure, metric_function
from shapleycam.metrics.metric import Metric
from shapleycam.metrics.options import MetricOptions
from shapleycam.metrics.table import METRICS, metrics

__all__ = ["METRICS", "Metric", "MetricOptions", "measure", "metrics"]


def __getattr__(name: str) -> Callable[..., Any]:
    if name in METRICS:
        return metric_function(METRICS[name])
    raise AttributeError(f"module 'shapleycam.metrics' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, *METRICS])
