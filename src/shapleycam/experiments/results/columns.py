"""The columns of tables: metrics, and figures computed from the means of several metrics."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from shapleycam.metrics.metric import Direction, Metric

ADCC_OF_MEANS = "adcc_of_means"
ADCC_PARTS = ("coherency", "complexity", "average_drop")
_ADCC_OF_IMAGES = "ADCC (mean of images)"


@dataclass(frozen=True)
class Column:
    """A column of the tables: a metric's mean, or a figure made of several means.

    Examples:
        >>> from shapleycam.experiments.results import Column
        >>> from shapleycam.metrics import METRICS
        >>> Column.of(METRICS["average_drop"]).head
        'AD % ↓'
    """

    name: str
    title: str
    better: Direction
    percent: bool

    @classmethod
    def of(cls, metric: Metric) -> Column:
        """Return the column of a metric's mean over images."""
        title = _ADCC_OF_IMAGES if metric.name == "adcc" else metric.title
        return cls(metric.name, title, metric.better, metric.percent)

    @property
    def parts(self) -> tuple[str, ...]:
        """Return the metrics from whose means the figure is computed."""
        return ADCC_PARTS if self.name == ADCC_OF_MEANS else (self.name,)

    @property
    def head(self) -> str:
        """Return title, unit and direction, as in "AD % ↓"."""
        return f"{self.title}{' %' if self.percent else ''} {'↑' if self.better == 'high' else '↓'}"


OF_MEANS = Column(ADCC_OF_MEANS, "ADCC (of means)", "high", percent=True)
"""Computed from the three means as printed, each over its own images; its `n` counts images that have all three."""


def columns_of(metrics: Sequence[Metric | Column], measured: Iterable[str]) -> tuple[Column, ...]:
    """Return the columns of metrics; what is a column already stays as it is.

    The ADCC of means, which is the published one, is added: after the ADCC of images, where its parts are among the
    metrics that were `measured`, or at the end, where the parts are all among `metrics`.

    Examples:
        >>> from shapleycam.experiments.results import columns_of
        >>> from shapleycam.metrics import METRICS
        >>> columns = columns_of([METRICS["adcc"]], measured=["coherency", "complexity", "average_drop", "adcc"])
        >>> [column.title for column in columns]
        ['ADCC (mean of images)', 'ADCC (of means)']
    """
    columns = [metric if isinstance(metric, Column) else Column.of(metric) for metric in metrics]
    names = [column.name for column in columns]
    of_images = "adcc" in names
    if ADCC_OF_MEANS not in names and set(measured if of_images else names).issuperset(ADCC_PARTS):
        columns.insert(names.index("adcc") + 1 if of_images else len(names), OF_MEANS)
    return tuple(columns)


def parts_of(columns: Sequence[Column]) -> list[str]:
    """Return the metrics that columns are computed from, each once; those with a column of their own come first.

    Examples:
        >>> from shapleycam.experiments.results import OF_MEANS, parts_of
        >>> parts_of([OF_MEANS])
        ['coherency', 'complexity', 'average_drop']
    """
    direct = [column.name for column in columns if column.parts == (column.name,)]
    return list(dict.fromkeys([*direct, *(part for column in columns for part in column.parts)]))
