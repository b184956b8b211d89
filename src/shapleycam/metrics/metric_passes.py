"""`passes_of_metric`: the number of forward passes for a metric, from the table of quantities."""

from __future__ import annotations

from dataclasses import dataclass

from shapleycam.metrics.options import MetricOptions
from shapleycam.metrics.table import required_quantities


@dataclass(frozen=True)
class MetricPasses:
    """Numbers of forward passes for one image, after the pass that explains it.

    Attributes:
        each_map: passes for each distinct heatmap.
        together: passes for all heatmaps together.

    Examples:
        >>> from shapleycam.metrics.metric_passes import passes_of_metric
        >>> passes_of_metric("insertion"), passes_of_metric("max_sensitivity")
        (MetricPasses(each_map=29, together=0), MetricPasses(each_map=0, together=10))
    """

    each_map: int
    together: int


def passes_of_metric(name: str, options: MetricOptions | None = None) -> MetricPasses:
    """Return the passes for a single metric, with options as for `measure`; several metrics share passes.

    Examples:
        >>> from shapleycam.metrics.metric_passes import passes_of_metric
        >>> passes_of_metric("complexity")
        MetricPasses(each_map=0, together=0)
    """
    from shapleycam.metrics.quantities import QUANTITIES  # which imports torch

    options = options or MetricOptions()
    required = [QUANTITIES[quantity] for quantity in required_quantities([name])]
    return MetricPasses(
        each_map=sum(row.passes(options) for row in required if row.scope == "map"),
        together=sum(row.passes(options) for row in required if row.scope == "batch"),
    )
