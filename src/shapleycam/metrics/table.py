"""The one table of metrics, read by the command line, the results, the documentation and the tests.

A row names its function, which is imported when it is first called, since tables of results are made without torch.
"""

from __future__ import annotations

from collections.abc import Sequence

from shapleycam.errors import OptionError, nearest
from shapleycam.metrics.metric import Metric
from shapleycam.names import canonical_name

_POPPI = "Poppi 2021, arXiv:2104.10252"
_CHATTOPADHAY = "Chattopadhay 2018, arXiv:1710.11063"
_RISE = "RISE, Petsiuk 2018, arXiv:1806.07421"
_SRG = "Blücher 2024, arXiv:2401.06654"
_GOMEZ = "Gomez 2022, arXiv:2201.13291"
_YEH = "Yeh 2019, arXiv:1901.09392"
_ADEBAYO = "Adebayo 2018, arXiv:1810.03292"

_ROWS = (
    Metric(
        "average_drop",
        "AD",
        "metrics.confidence:average_drop",
        ("score", "kept_score"),
        "low",
        _CHATTOPADHAY,
        in_paper=True,
        summary="how much of the class's probability is lost where only what the map shows is kept",
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
        summary="how alike the map stays where only what it shows is kept",
    ),
    Metric(
        "complexity",
        "Com",
        "metrics.maps:complexity",
        ("heatmap",),
        "low",
        _POPPI,
        in_paper=True,
        summary="how much of the image the map colours",
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
        summary="on what share of photographs the probability rises where only what the map shows is kept",
    ),
    Metric(
        "average_drop_in_deletion",
        "ADD",
        "metrics.confidence:average_drop_in_deletion",
        ("score", "removed_score"),
        "high",
        "Jung & Oh 2021",
        in_paper=True,
        summary="how much of the class's probability is lost where what the map shows is removed",
    ),
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
        summary="how much longer the probability lasts when the map's weakest pixels are removed first, behind zero",
    ),
    Metric(
        "srg_blur",
        "SRG blur",
        "metrics.curves:relevance_gain",
        ("blur_preservation_curve", "blur_deletion_curve"),
        "high",
        _SRG,
        summary="the same where removed pixels become those of a blurred image; with imputed ones it is twice ROAD",
    ),
    Metric(
        "qge_insertion",
        "QGE",
        "metrics.curves:quality_gap",
        ("insertion_curve", "inverse_insertion_curve"),
        "high",
        "Eiras-Franco 2025, arXiv:2502.15403",
        summary="how much better insertion is than for the inverse map; of deletion this is SRG",
    ),
    Metric(
        "deletion_correlation",
        "Del r",
        "metrics.curves:deletion_correlation",
        ("step_heat", "deletion_curve"),
        "high",
        _GOMEZ,
        percent=False,
        summary="how well the map's strength foretells what the removal of each step's pixels takes away",
    ),
    Metric(
        "insertion_correlation",
        "Ins r",
        "metrics.curves:insertion_correlation",
        ("step_heat", "insertion_curve"),
        "high",
        _GOMEZ,
        percent=False,
        summary="how well the map's strength foretells what the insertion of each step's pixels adds",
    ),
    Metric(
        "saco",
        "SaCo",
        "metrics.single_removal:saco",
        ("group_heat", "score", "group_scores"),
        "high",
        "Wu 2024, arXiv:2404.01415",
        percent=False,
        summary="whether groups of pixels with more heat take more from the probability, weighted by how much more",
    ),
    Metric(
        "single_deletion",
        "SD ρ",
        "metrics.single_removal:single_deletion",
        ("patch_values", "score", "patch_scores"),
        "high",
        "Hesse 2024, arXiv:2407.11910, without fine-tuning",
        percent=False,
        summary="how alike the order of patches' values is to the order of what is lost without each alone",
    ),
    Metric(
        "infidelity",
        "Infid",
        "metrics.single_removal:infidelity",
        ("patch_values", "score", "patch_scores"),
        "low",
        _YEH,
        percent=False,
        summary="how far patches' values, at the best scale, are from what is lost without each alone",
    ),
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
        "max_sensitivity",
        "Sens",
        "metrics.stability:max_sensitivity",
        ("values", "disturbed_values"),
        "low",
        _YEH,
        percent=False,
        summary="how much the values change, at most, under noise that nobody sees",
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
        summary="how alike the order of places is for a model with random weights, which knows nothing",
    ),
    Metric(
        "randomisation_ssim",
        "Rand SSIM",
        "metrics.stability:randomisation_ssim",
        ("values", "randomised_values", "heatmap"),
        "low",
        _ADEBAYO,
        percent=False,
        summary="how alike the map looks for a model with random weights, which knows nothing",
    ),
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
        summary="how alike the order of places is to that of the true Shapley values",
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

METRICS = {metric.name: metric for metric in _ROWS}
"""All metrics by name."""
_TITLES = {metric.title: metric.name for metric in _ROWS}


def canonical_metric(name: object) -> str | None:
    """Return the name of a metric from any spelling of it or of its title ("AD"); None where there is none."""
    return canonical_name(name, METRICS, _TITLES)


def metrics() -> tuple[Metric, ...]:
    """Return all metrics, in the order of the table.

    Examples:
        >>> from shapleycam.metrics import metrics
        >>> [metric.name for metric in metrics()][:2]
        ['average_drop', 'coherency']
    """
    return tuple(METRICS.values())


def expand_metrics(names: Sequence[str], *, objects: bool = True) -> list[str]:
    """Replace the sets `paper` (the six of the published tables) and `all` by their metrics; each name once.

    `all` has the metrics that need to know where objects are only with `objects`.

    Raises:
        OptionError: an unknown name, or none.
    """
    if not names:
        raise OptionError("no metrics were given; expected at least one (shapleycam metrics lists them)")
    sets = {
        "paper": [metric.name for metric in _ROWS if metric.in_paper],
        "all": [metric.name for metric in _ROWS if objects or "objects" not in metric.needs],
    }
    expanded = [member for name in names for member in sets.get(canonical_name(name, sets) or "", [name])]
    return list(dict.fromkeys(metric_of(name).name for name in expanded))


def metric_of(name: str) -> Metric:
    """Return the metric of this name, in any spelling of it or of its title.

    Raises:
        OptionError: an unknown name.
    """
    canonical_name = canonical_metric(name)
    if canonical_name is None:
        raise OptionError(f"metric {name!r} is unknown; {nearest(str(name), METRICS)} (shapleycam metrics lists them)")
    return METRICS[canonical_name]


def required_quantities(metrics: Sequence[str]) -> frozenset[str]:
    """Return the names of all quantities that these metrics are computed from, directly or through others.

    Examples:
        >>> from shapleycam.metrics.table import required_quantities
        >>> sorted(required_quantities(["efficiency_gap"]))
        ['game', 'grand', 'player_values']
    """
    from shapleycam.metrics.quantities import QUANTITIES  # which imports torch

    pending, required = list(named_quantities(metrics)), set[str]()
    while pending:
        name = pending.pop()
        required.add(name)
        pending += [need for need in QUANTITIES[name].needs if need not in required]
    return frozenset(required)


def named_quantities(metrics: Sequence[str]) -> frozenset[str]:
    """Return the names of the quantities that rows of the table name for these metrics, also by other metrics.

    Examples:
        >>> from shapleycam.metrics.table import named_quantities
        >>> sorted(named_quantities(["adcc"]))
        ['heatmap', 'kept_heatmap', 'kept_score', 'score']
    """
    pending, named = list(metrics), set[str]()
    while pending:
        name = pending.pop()
        if name in METRICS:
            pending += METRICS[name].needs
        else:
            named.add(name)
    return frozenset(named)
