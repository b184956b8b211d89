"""Rows of metrics of the curve of scores as pixels are exchanged step by step."""

from __future__ import annotations

from shapleycam.metrics.metric import Metric

_RISE = "RISE, Petsiuk 2018, arXiv:1806.07421"
_SRG = "Blücher 2024, arXiv:2401.06654"
_GOMEZ = "Gomez 2022, arXiv:2201.13291"

CURVES = (
    Metric(
        "insertion",
        "Ins",
        "metrics.confidence:insertion",
        ("insertion_curve",),
        "high",
        _RISE,
        summary="how fast the probability comes back as pixels are added, the map's strongest first",
    ),
    Metric(
        "deletion",
        "Del",
        "metrics.confidence:deletion",
        ("deletion_curve",),
        "low",
        _RISE,
        summary="how much of the probability stays as pixels are removed, the map's strongest first",
    ),
    Metric(
        "road",
        "ROAD",
        "metrics.confidence:road",
        ("least_first", "most_first"),
        "high",
        "Rong 2022, arXiv:2202.00449",
        summary="how much more the probability depends on the map's strongest pixels than on its weakest",
        caution="it favours blurry maps (arXiv:2304.13836)",
    ),
    Metric(
        "arcc",
        "ARCC",
        "metrics.confidence:arcc",
        ("coherency", "complexity", "road"),
        "high",
        "Domeniconi 2026, arXiv:2605.14641",
        summary="coherency, complexity and ROAD in one figure, their harmonic mean",
    ),
    Metric(
        "srg",
        "SRG",
        "metrics.curves:relevance_gain",
        ("preservation_curve", "deletion_curve"),
        "high",
        _SRG,
        summary="how much longer the probability lasts if the map's weakest pixels are zeroed first, not its strongest",
    ),
    Metric(
        "srg_blur",
        "SRG blur",
        "metrics.curves:relevance_gain",
        ("blur_preservation_curve", "blur_deletion_curve"),
        "high",
        _SRG,
        summary="as SRG, but removed pixels become those of a blurred image; with imputed pixels it is twice ROAD",
    ),
    Metric(
        "qge_insertion",
        "QGE",
        "metrics.curves:quality_gap",
        ("insertion_curve", "inverse_insertion_curve"),
        "high",
        "Eiras-Franco 2025, arXiv:2502.15403",
        summary="how much better insertion is than for the inverse map; the same difference for deletion is SRG",
    ),
    Metric(
        "deletion_correlation",
        "Del r",
        "metrics.curves:deletion_correlation",
        ("step_heat", "deletion_curve"),
        "high",
        _GOMEZ,
        percent=False,
        summary="how well the map's strength predicts what is lost by the removal of each step's pixels",
    ),
    Metric(
        "insertion_correlation",
        "Ins r",
        "metrics.curves:insertion_correlation",
        ("step_heat", "insertion_curve"),
        "high",
        _GOMEZ,
        percent=False,
        summary="how well the map's strength predicts what is gained by the insertion of each step's pixels",
    ),
)
