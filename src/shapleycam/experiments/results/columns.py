"""`Column`: a column of tables, either a metric or a figure computed from the means of several metrics."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from shapleycam.experiments.results.box_hits import MAX_BOX_PARTS, MAX_BOX_V2_PARTS, stored_column
from shapleycam.metrics.metric import Direction, Metric

ADCC_OF_MEANS = "adcc_of_means"
ADCC_PARTS = ("coherency", "complexity", "average_drop")
MAX_BOX_ACCURACY, MAX_BOX_ACCURACY_V2 = "max_box_accuracy", "max_box_accuracy_v2"
_PARTS = {ADCC_OF_MEANS: ADCC_PARTS, MAX_BOX_ACCURACY: MAX_BOX_PARTS, MAX_BOX_ACCURACY_V2: MAX_BOX_V2_PARTS}
_OF_METRIC = {MAX_BOX_ACCURACY: "best_box_iou", MAX_BOX_ACCURACY_V2: "best_any_box_iou"}
"""The metrics whose lists of IoUs contain the parts."""
_ADCC_OF_IMAGES = "ADCC (mean of images)"


@dataclass(frozen=True)
class Column:
    """A column of tables: the mean of a metric, or a figure computed from several means.

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
        """Return the names of the means from which the figure is computed."""
        return _PARTS.get(self.name, (self.name,))

    @property
    def metrics(self) -> tuple[str, ...]:
        """Return the metrics that must be measured for the figure."""
        return (_OF_METRIC[self.name],) if self.name in _OF_METRIC else self.parts

    @property
    def described_by(self) -> str:
        """Return the metric whose summary describes the figure."""
        return "adcc" if self.name == ADCC_OF_MEANS else self.metrics[0]

    @property
    def head(self) -> str:
        """Return title, unit and direction, as in "AD % ↓"."""
        return f"{self.title}{' %' if self.percent else ''} {'↑' if self.better == 'high' else '↓'}"


OF_MEANS = Column(ADCC_OF_MEANS, "ADCC (of means)", "high", percent=True)
"""The ADCC of the three means; each mean is over the images that have it, but `n` counts images that have all three."""
_BOX_COLUMNS = {
    "best_box_iou": Column(MAX_BOX_ACCURACY, "MaxBoxAcc", "high", percent=True),
    "best_any_box_iou": Column(MAX_BOX_ACCURACY_V2, "MaxBoxAccV2", "high", percent=True),
}
"""The columns added after a box metric (best threshold for each image): accuracy at one threshold for all images."""
OF_SEVERAL_MEANS = {column.name: column for column in (OF_MEANS, *_BOX_COLUMNS.values())}
"""The columns that are not the mean of a metric, by name."""


def columns_of(metrics: Sequence[Metric | Column], measured: Iterable[str]) -> tuple[Column, ...]:
    """Return the columns for metrics; columns among `metrics` are returned unchanged.

    Two kinds of columns are added:

    - the ADCC of means, which is the published one: after the ADCC of images, if its parts are in `measured`; without
      the ADCC of images, at the end, if all its parts are in `metrics`;
    - MaxBoxAcc: after the box metric, if the lists of IoUs are in `measured`.

    Examples:
        >>> from shapleycam.experiments.results import columns_of
        >>> from shapleycam.metrics import METRICS
        >>> columns = columns_of([METRICS["adcc"]], measured=["coherency", "complexity", "average_drop", "adcc"])
        >>> [column.title for column in columns]
        ['ADCC (mean of images)', 'ADCC (of means)']
    """
    columns = [metric if isinstance(metric, Column) else Column.of(metric) for metric in metrics]
    names = [column.name for column in columns]
    measured = set(measured)
    for name, column in _BOX_COLUMNS.items():
        if name in names and column.name not in names and measured.issuperset(map(stored_column, column.parts)):
            names.insert(names.index(name) + 1, column.name)
            columns.insert(names.index(column.name), column)
    of_images = "adcc" in names
    if ADCC_OF_MEANS not in names and (measured if of_images else set(names)).issuperset(ADCC_PARTS):
        columns.insert(names.index("adcc") + 1 if of_images else len(names), OF_MEANS)
    return tuple(columns)


def parts_of(columns: Sequence[Column]) -> list[str]:
    """Return the names of the distinct means for columns; metrics that have their own column come first.

    Examples:
        >>> from shapleycam.experiments.results import OF_MEANS, parts_of
        >>> parts_of([OF_MEANS])
        ['coherency', 'complexity', 'average_drop']
    """
    direct = [column.name for column in columns if column.parts == (column.name,)]
    return list(dict.fromkeys([*direct, *(part for column in columns for part in column.parts)]))
