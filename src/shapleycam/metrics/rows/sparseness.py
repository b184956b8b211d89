"""Rows of metrics of the sparseness of a heatmap."""

from __future__ import annotations

from shapleycam.metrics.metric import Metric

_GOMEZ = "Gomez 2022, arXiv:2201.13291"

SPARSENESS = (
    Metric(
        "gini",
        "Gini",
        "metrics.sparseness:gini",
        ("heatmap",),
        "high",
        "Chalasani 2020, arXiv:1810.06583",
        percent=False,
        summary="how unevenly the map is spread over its pixels",
    ),
    Metric(
        "sparsity",
        "Sparse",
        "metrics.sparseness:sparsity",
        ("heatmap",),
        "high",
        _GOMEZ,
        percent=False,
        summary="how much stronger the map's strongest pixel is than its mean",
    ),
    Metric(
        "effective_complexity",
        "ECom",
        "metrics.sparseness:effective_complexity",
        ("heatmap",),
        "low",
        "Nguyen & Martínez 2020, arXiv:2007.07584, as in Quantus",
        summary="what share of the pixels has any heat",
    ),
)
