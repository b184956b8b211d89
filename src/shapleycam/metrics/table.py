"""The one table of metrics, read by the command line, the results, the documentation and the tests.

A row names its function, which is imported when it is first called, since tables of results are made without torch.
"""

from __future__ import annotations

from collections.abc import Sequence

from shapleycam.errors import OptionError, nearest
from shapleycam.metrics.metric import Metric
from shapleycam.metrics.rows.curves import CURVES
from shapleycam.metrics.rows.objects import OBJECTS
from shapleycam.metrics.rows.paper import PAPER
from shapleycam.metrics.rows.parts import PARTS
from shapleycam.metrics.rows.shapley import SHAPLEY
from shapleycam.metrics.rows.sparseness import SPARSENESS
from shapleycam.metrics.rows.stability import STABILITY
from shapleycam.names import canonical_name

_ROWS = (*PAPER, *CURVES, *PARTS, *SPARSENESS, *OBJECTS, *STABILITY, *SHAPLEY)

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
        "all": [metric.name for metric in _ROWS if objects or metric not in OBJECTS],
    }
    expanded = [member for name in names for member in sets.get(canonical_name(name, sets) or "", [name])]
    return list(dict.fromkeys(metric_of(name).name for name in expanded))


def needs_objects(metrics: Sequence[str]) -> bool:
    """Return whether one of these metrics asks where the objects are.

    Examples:
        >>> from shapleycam.metrics.table import needs_objects
        >>> needs_objects(["average_drop"]), needs_objects(["average_drop", "pointing_game"])
        (False, True)
    """
    return any(METRICS[name] in OBJECTS for name in metrics)


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
