"""Evaluations: methods measured over datasets, kept on disk, and made into tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shapleycam.experiments import synthetic
from shapleycam.lazy_names import import_name

if TYPE_CHECKING:
    from shapleycam.experiments.engines import Local, Ray
    from shapleycam.experiments.metric_check import MetricCheck, check_metrics
    from shapleycam.experiments.progress import ProgressListener
    from shapleycam.experiments.protocol import Protocol
    from shapleycam.experiments.runner import Evaluation, evaluate
    from shapleycam.experiments.settings import RunSettings
    from shapleycam.experiments.store import Store

_MODULE_OF = {
    "Evaluation": "runner",
    "Local": "engines",
    "MetricCheck": "metric_check",
    "ProgressListener": "progress",
    "Protocol": "protocol",
    "Ray": "engines",
    "RunSettings": "settings",
    "Store": "store",
    "check_metrics": "metric_check",
    "evaluate": "runner",
}

__all__ = [
    "Evaluation",
    "Local",
    "MetricCheck",
    "ProgressListener",
    "Protocol",
    "Ray",
    "RunSettings",
    "Store",
    "check_metrics",
    "evaluate",
    "synthetic",
]


def __getattr__(name: str) -> Any:
    return import_name(__name__, _MODULE_OF, name)


def __dir__() -> list[str]:
    return sorted(__all__)
