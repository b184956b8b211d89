"""Rows of metrics that compare the heat of each part of the image with the score that is lost without this part."""

from __future__ import annotations

from shapleycam.metrics.metric import Metric

_YEH = "Yeh 2019, arXiv:1901.09392"

PARTS = (
    Metric(
        "saco",
        "SaCo",
        "metrics.single_removal:saco",
        ("group_heat", "score", "group_scores"),
        "high",
        "Wu 2024, arXiv:2404.01415",
        percent=False,
        summary="whether groups of pixels with more heat take more from the probability, weighted by their heat's gap",
    ),
    Metric(
        "single_deletion",
        "SD ρ",
        "metrics.single_removal:single_deletion",
        ("patch_values", "score", "patch_scores"),
        "high",
        "Hesse 2024, arXiv:2407.11910, without fine-tuning",
        percent=False,
        summary="how similar the order of patches' values is to the order of what is lost without each patch",
    ),
    Metric(
        "infidelity",
        "Infid",
        "metrics.single_removal:infidelity",
        ("patch_values", "score", "patch_scores"),
        "low",
        _YEH,
        percent=False,
        summary="how far patches' values, at the best scale, are from what is lost without each patch",
    ),
)
