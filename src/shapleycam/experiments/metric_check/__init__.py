"""Which metrics deserve trust on a model and its photographs: they are measured themselves."""

from shapleycam.experiments.metric_check._checking import check_metrics, checkable_metrics, passes_of_check
from shapleycam.experiments.metric_check.result import MetricCheck, MetricTrust, PairAgreement

__all__ = ["MetricCheck", "MetricTrust", "PairAgreement", "check_metrics", "checkable_metrics", "passes_of_check"]
