"""Check which metrics are reliable for a model and its photographs, by measuring the metrics themselves."""

from shapleycam.experiments.metric_check._checking import check_metrics, checkable_metrics, passes_of_check
from shapleycam.experiments.metric_check.result import MetricCheck, MetricTrust, PairAgreement

__all__ = ["MetricCheck", "MetricTrust", "PairAgreement", "check_metrics", "checkable_metrics", "passes_of_check"]
