"""Rows of metrics of the distance to the true Shapley values."""

from __future__ import annotations

from shapleycam.metrics.metric import Metric

SHAPLEY = (
    Metric(
        "shapley_error",
        "φ error",
        "values.distance:relative_error",
        ("player_values", "true_values"),
        "low",
        "ours: ‖φ̂ - φ‖ / ‖φ‖",
        in_units=True,
        summary="how far the values are from the true Shapley values, as a share of their size",
    ),
    Metric(
        "shapley_spearman",
        "φ rank",
        "values.distance:rank_correlation",
        ("player_values", "true_values"),
        "high",
        "ours: Spearman(φ̂, φ)",
        percent=False,
        summary="how similar the order of places is to that of the true Shapley values",
    ),
    Metric(
        "efficiency_gap",
        "Gap",
        "values.distance:efficiency_gap",
        ("player_values", "grand"),
        "low",
        "ours: |Σφ̂ - v(N)| / |v(N)|",
        in_units=True,
        summary="how far the values are from adding up to the score that they divide",
    ),
)
