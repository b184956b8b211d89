"""The table of metrics, which the command line, the results, the documentation and the tests read.

A row has the name of its function, which is imported at its first call, so that tables of results do not import torch.
"""

from __future__ import annotations

from collections.abc import Sequence

from shapleycam.errors import OptionError
from shapleycam.metrics.metric import Metric
from shapleycam.metrics.rows.curves import CURVES
from shapleycam.metrics.rows.objects import OBJECTS
from shapleycam.metrics.rows.paper import PAPER
from shapleycam.metrics.rows.parts import PARTS
from shapleycam.metrics.rows.shapley import SHAPLEY
from shapleycam.metrics.rows.sparseness import SPARSENESS
from shapleycam.metrics.rows.stability import STABILITY
from shapleycam.names import canonical_name, nearest

_ROWS = (*PAPER, *CURVES, *PARTS, *SPARSENESS, *OBJECTS, *STABILITY, *SHAPLEY)

METRICS = {metric.name: metric for metric in _ROWS}
"""All metrics by name."""
_TITLES = {metric.title: metric.name for metric in _ROWS}


def canonical_metric(name: object) -> str | None:
    """Return the canonical name of a metric for any spelling of its name or title ("AD"); None if it is unknown."""
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
    """Return the canonical names of metrics, each once; sets are replaced by their metrics.

    The sets are `paper` (the six metrics of the published tables) and `all`. With `objects=False`, `all` does not
    contain the metrics that need masks of objects.

    Raises:
        OptionError: an unknown name, or no names.
    """
    if not names:
        raise OptionError("no metrics were given; expected at least one (shapleycam metrics lists them)")
    sets = {
        "paper": [metric.name for metric in _ROWS if metric.in_paper],
        "all": [metric.name for metric in _ROWS if objects or metric not in OBJECTS],
    }
    expanded = [member for name in names for member in sets.get(canonical_name(name, sets) or "", [name])]
    return list(dict.fromkeys(metric_of(name).name for name in expanded))


def needs_objects(metrics: Sequence[str]) -> bool:
    """Return whether one of these metrics needs masks of objects.

    Examples:
        >>> from shapleycam.metrics.table import needs_objects
        >>> needs_objects(["average_drop"]), needs_objects(["average_drop", "pointing_game"])
        (False, True)
    """
    return any(METRICS[name] in OBJECTS for name in metrics)


def metric_of(name: str) -> Metric:
    """Return the metric of this name or title, in any spelling.

    Raises:
        OptionError: an unknown name.
    """
    canonical_name = canonical_metric(name)
    if canonical_name is None:
        raise OptionError(f"metric {name!r} is unknown; {nearest(str(name), METRICS)} (shapleycam metrics lists them)")
    return METRICS[canonical_name]


def required_quantities(metrics: Sequence[str]) -> frozenset[str]:
    """Return the names of all quantities that these metrics need, directly or through other quantities.

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
    """Return the names of the quantities in the rows of these metrics, and of metrics that these need.

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
