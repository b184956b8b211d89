"""Rows of the six metrics in the paper's tables."""

from __future__ import annotations

from shapleycam.metrics.metric import Metric

_POPPI = "Poppi 2021, arXiv:2104.10252"
_CHATTOPADHAY = "Chattopadhay 2018, arXiv:1710.11063"

PAPER = (
    Metric(
        "average_drop",
        "AD",
        "metrics.confidence:average_drop",
        ("score", "kept_score"),
        "low",
        _CHATTOPADHAY,
        in_paper=True,
        summary="how much of the class's probability is lost if only what the map shows is kept",
        caution="a map that hides nothing is perfect by it (Poppi 2021, arXiv:2104.10252)",
    ),
    Metric(
        "coherency",
        "Coh",
        "metrics.maps:coherency",
        ("heatmap", "kept_heatmap"),
        "high",
        _POPPI,
        in_paper=True,
        summary="how similar the map stays if only what it shows is kept",
    ),
    Metric(
        "complexity",
        "Com",
        "metrics.maps:complexity",
        ("heatmap",),
        "low",
        _POPPI,
        in_paper=True,
        summary="how much of the image the map covers",
    ),
    Metric(
        "adcc",
        "ADCC",
        "metrics.confidence:adcc",
        ("coherency", "complexity", "average_drop"),
        "high",
        _POPPI,
        in_paper=True,
        summary="coherency, complexity and average drop in one figure, their harmonic mean",
    ),
    Metric(
        "increase_in_confidence",
        "IC",
        "metrics.confidence:increase_in_confidence",
        ("score", "kept_score"),
        "high",
        _CHATTOPADHAY,
        in_paper=True,
        summary="on what share of photographs the probability rises if only what the map shows is kept",
    ),
    Metric(
        "average_drop_in_deletion",
        "ADD",
        "metrics.confidence:average_drop_in_deletion",
        ("score", "removed_score"),
        "high",
        "Jung & Oh 2021",
        in_paper=True,
        summary="how much of the class's probability is lost if what the map shows is removed",
    ),
)
