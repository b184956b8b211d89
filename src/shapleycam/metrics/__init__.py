"""Metrics of heatmaps: the table `METRICS`, and a function for each of its rows.

For example, `shapleycam.metrics.average_drop(explainer, images, explanation)` returns one number for each image.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shapleycam.lazy_names import import_name
from shapleycam.metrics.metric import Metric
from shapleycam.metrics.table import METRICS, metrics

if TYPE_CHECKING:
    from shapleycam.metrics._measure import measure
    from shapleycam.metrics.options import MetricOptions

_MODULE_OF = {"MetricOptions": "options", "measure": "_measure"}

__all__ = ["METRICS", "Metric", "MetricOptions", "measure", "metrics"]


def __getattr__(name: str) -> Any:
    if name in METRICS:
        from shapleycam.metrics._measure import metric_function

        return metric_function(METRICS[name])
    return import_name(__name__, _MODULE_OF, name)


def __dir__() -> list[str]:
    return sorted([*__all__, *METRICS])
