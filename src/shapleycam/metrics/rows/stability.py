"""Rows of metrics of how values change with noise and with random weights."""

from __future__ import annotations

from shapleycam.metrics.metric import Metric

_YEH = "Yeh 2019, arXiv:1901.09392"
_HEDSTROEM = "Hedström 2024, arXiv:2405.02383"
_ADEBAYO = "Adebayo 2018, arXiv:1810.03292"

STABILITY = (
    Metric(
        "max_sensitivity",
        "Sens",
        "metrics.stability:max_sensitivity",
        ("values", "disturbed_values"),
        "low",
        _YEH,
        percent=False,
        summary="how much the values change, at most, under noise that is too small to see",
        caution="it fails a sanity check of metrics themselves (arXiv:2412.10942)",
    ),
    Metric(
        "randomisation_spearman",
        "Rand ρ",
        "metrics.stability:randomisation_spearman",
        ("values", "randomised_values"),
        "low",
        _ADEBAYO,
        percent=False,
        summary="how similar the order of places is for a model with random weights, which knows nothing",
    ),
    Metric(
        "randomisation_ssim",
        "Rand SSIM",
        "metrics.stability:randomisation_ssim",
        ("values", "randomised_values", "heatmap"),
        "low",
        _ADEBAYO,
        percent=False,
        summary="how similar the map looks for a model with random weights, which knows nothing",
    ),
    Metric(
        "smooth_randomisation_spearman",
        "sMPRT ρ",
        "metrics.stability:randomisation_spearman",
        ("smoothed_values", "smoothed_randomised_values"),
        "low",
        _HEDSTROEM,
        percent=False,
        summary="how similar the order of places is for a model with random weights, both averaged over noisy images",
    ),
    Metric(
        "randomisation_entropy",
        "eMPRT",
        "metrics.stability:entropy_rise",
        ("values", "randomised_values", "heatmap"),
        "high",
        _HEDSTROEM,
        percent=False,
        summary="how much higher the entropy of the map is for a model with random weights, as a share",
    ),
)
