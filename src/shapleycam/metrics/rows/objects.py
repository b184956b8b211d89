"""Rows of the pointing metrics, which need annotations of objects."""

from __future__ import annotations

from shapleycam.metrics.metric import Metric

_CHOE = "Choe 2020, arXiv:2007.04178"

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
    Metric(
        "relevance_mass",
        "RMass",
        "metrics.maps:relevance_mass",
        ("values", "objects"),
        "high",
        "Arras 2022, arXiv:2003.07258; of mosaics the grid pointing game, Rao 2022, arXiv:2205.10435",
        summary="what share of the positive values lies on the object",
    ),
    Metric(
        "best_box_iou",
        "Box IoU",
        "metrics.boxes:best_box_iou",
        ("box_iou_curve",),
        "high",
        _CHOE,
        summary="how well the box around the map's largest part fits the object's, at the best threshold of each map",
        caution="the threshold is chosen with the object in sight; MaxBoxAcc has one for all photographs",
    ),
    Metric(
        "best_any_box_iou",
        "Box IoU any",
        "metrics.boxes:best_any_box_iou",
        ("any_box_iou_curve",),
        "high",
        _CHOE,
        summary="as Box IoU, but with the best of the boxes around all parts of the map",
        caution="the threshold is chosen with the object in sight; MaxBoxAccV2 has one for all photographs",
    ),
)
