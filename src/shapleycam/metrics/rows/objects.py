"""Metrics of where the map points, which need to know where objects are."""

from __future__ import annotations

from shapleycam.metrics.metric import Metric

OBJECTS = (
    Metric(
        "pointing_game",
        "Point",
        "metrics.maps:pointing_game",
        ("heatmap", "objects", "pointing_tolerance"),
        "high",
        "Zhang 2016, arXiv:1608.00507",
        summary="on what share of photographs the map's strongest point lies on the object",
    ),
    Metric(
        "energy_pointing",
        "Energy",
        "metrics.maps:energy_pointing",
        ("heatmap", "objects"),
        "high",
        "Score-CAM, Wang 2020, arXiv:1910.01279",
        summary="what share of the map lies on the object",
    ),
    Metric(
        "relevance_rank",
        "RRank",
        "metrics.maps:relevance_rank",
        ("heatmap", "objects"),
        "high",
        "Arras 2022, arXiv:2003.07258",
        summary="what share of the map's strongest pixels, as many as the object has, lies on the object",
    ),
)
