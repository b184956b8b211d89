"""The summary of an evaluation: a cell for each model, layer, utility, method and metric, and the missing results."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, TypeAlias

from shapleycam.errors import OptionError, nearest
from shapleycam.metrics.metric import Direction, Metric
from shapleycam.metrics.table import canonical_metric

CellKey: TypeAlias = tuple[str, str, str, str, str]
"""Model, layer, utility, method, metric."""

ADCC_OF_MEANS = "adcc_of_means"
ADCC_PARTS = ("coherency", "complexity", "average_drop")
_ADCC_OF_IMAGES = "ADCC (mean of images)"


@dataclass(frozen=True)
class Column:
    """A column of the tables: a metric's mean, or a figure made of several means."""

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
    """
    columns = [metric if isinstance(metric, Column) else Column.of(metric) for metric in metrics]
    names = [column.name for column in columns]
    of_images = "adcc" in names
    if ADCC_OF_MEANS not in names and set(measured if of_images else names).issuperset(ADCC_PARTS):
        columns.insert(names.index("adcc") + 1 if of_images else len(names), OF_MEANS)
    return tuple(columns)


def parts_of(columns: Sequence[Column]) -> list[str]:
    """Return the metrics that columns are computed from, each once; those with a column of their own come first."""
    direct = [column.name for column in columns if column.parts == (column.name,)]
    return list(dict.fromkeys([*direct, *(part for column in columns for part in column.parts)]))


@dataclass(frozen=True)
class Cell:
    """One figure: a mean over images with its 95 % interval, as fractions; NaN where there is none.

    Attributes:
        model: name of the network; `layer`, `utility`, `method` and `metric` are names too.
        mean: over the `n` images where the metric is defined.
        low: lower end of the 95 % interval, `high` the upper one.
        n: how many images are in the mean.
        undefined: how many images have the value NaN, and are not in the mean. Images where the metric was not measured
            are in neither count.
        rank: among the methods of the same model, layer, utility and metric, from 1; ties share their mean rank.
        best: whether it is the best mean, or shares it; `second`, whether it is or shares the next one.
        lead_significant: whether the best leads the second by more than chance; None for cells that are not best, and
            where there is nothing to compare with.
        p: of that lead, two-sided; None likewise.
    """

    model: str
    layer: str
    utility: str
    method: str
    metric: str
    mean: float
    low: float
    high: float
    n: int
    undefined: int
    rank: float
    best: bool = False
    second: bool = False
    lead_significant: bool | None = None
    p: float | None = None

    @property
    def key(self) -> CellKey:
        """Return model, layer, utility, method and metric."""
        return (self.model, self.layer, self.utility, self.method, self.metric)

    @property
    def measured(self) -> bool:
        """Return whether the metric was measured on any image, defined or not."""
        return self.n + self.undefined > 0

    @property
    def half(self) -> float:
        """Return half the width of the interval."""
        return (self.high - self.low) / 2


@dataclass(frozen=True)
class ResultGroup:
    """A model at a layer with a utility, and how many images it was measured on."""

    model: str
    layer: str
    utility: str
    images: int


@dataclass(frozen=True)
class MissingResult:
    """An image without results of a model at a layer, and why: an error, or the class rule left it out."""

    model: str
    layer: str
    index: int
    image: str
    status: Literal["error", "left out"]
    message: str


@dataclass(frozen=True)
class ResultsSummary:
    """The figures of an evaluation; cells are in the order of tables."""

    columns: tuple[Column, ...]
    groups: tuple[ResultGroup, ...]
    cells: tuple[Cell, ...]
    absent: tuple[MissingResult, ...] = ()

    @cached_property
    def by_key(self) -> dict[CellKey, Cell]:
        """Return each cell by model, layer, utility, method and metric."""
        return {cell.key: cell for cell in self.cells}

    @property
    def errors(self) -> tuple[MissingResult, ...]:
        """Return the images that could not be read or explained."""
        return tuple(image for image in self.absent if image.status == "error")

    @property
    def left_out(self) -> tuple[MissingResult, ...]:
        """Return the images that the class rule left out."""
        return tuple(image for image in self.absent if image.status == "left out")

    @property
    def settings(self) -> list[tuple[str, str]]:
        """Return the pairs of layer and utility, each of which has a table."""
        return list(dict.fromkeys((group.layer, group.utility) for group in self.groups))

    def at(self, layer: str, utility: str) -> ResultsSummary:
        """Return the part of the summary for one layer and utility."""
        setting = (layer, utility)
        return replace(
            self,
            groups=tuple(group for group in self.groups if (group.layer, group.utility) == setting),
            cells=tuple(cell for cell in self.cells if (cell.layer, cell.utility) == setting),
            absent=tuple(image for image in self.absent if image.layer == layer),
        )

    def column(self, name: str) -> Column:
        """Return the column of this name.

        Raises:
            OptionError: there is none.
        """
        columns = {column.name: column for column in self.columns}
        name = name if name in columns else canonical_metric(name) or name
        if name not in columns:
            raise OptionError(f"metric {name!r} is not in these results; {nearest(name, columns)}")
        return columns[name]


def sort_by_table(names: Iterable[str], known: Iterable[str]) -> list[str]:
    """Return names in the order of the known ones, then others by the alphabet, whatever their order was."""
    index = {name: position for position, name in enumerate(known)}
    return sorted(set(names), key=lambda name: (index.get(name, len(index)), name))
