"""What a summary holds: a cell for each model, layer, utility, method and metric, and what is not in them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, TypeAlias

from shapleycam.errors import OptionError, nearest
from shapleycam.metrics.metric import Direction, Metric
from shapleycam.metrics.table import canonical_metric

Key: TypeAlias = tuple[str, str, str, str, str]
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
        """The column of a metric's mean over images."""
        title = _ADCC_OF_IMAGES if metric.name == "adcc" else metric.title
        return cls(metric.name, title, metric.better, metric.percent)

    @property
    def parts(self) -> tuple[str, ...]:
        """The metrics of whose means the figure is made."""
        return ADCC_PARTS if self.name == ADCC_OF_MEANS else (self.name,)

    @property
    def head(self) -> str:
        """Title, unit and direction, as in "AD % ↓"."""
        return f"{self.title}{' %' if self.percent else ''} {'↑' if self.better == 'high' else '↓'}"


OF_MEANS = Column(ADCC_OF_MEANS, "ADCC (of means)", "high", percent=True)
"""Made of the three means as printed, each over its own images; its `n` counts those that have all three."""


def columns_of(asked: Sequence[Metric | Column], measured: Iterable[str]) -> tuple[Column, ...]:
    """The columns of metrics, and those given as such.

    The ADCC of means, which is the published one, is there too: beside the ADCC of images, where its parts were
    `measured` (metrics by name), or last, where they are all asked for.
    """
    columns = [each if isinstance(each, Column) else Column.of(each) for each in asked]
    names = [column.name for column in columns]
    of_images = "adcc" in names
    if ADCC_OF_MEANS not in names and set(measured if of_images else names).issuperset(ADCC_PARTS):
        columns.insert(names.index("adcc") + 1 if of_images else len(names), OF_MEANS)
    return tuple(columns)


def parts_of(columns: Sequence[Column]) -> list[str]:
    """The metrics that columns are made of, each once: their own first."""
    own = [column.name for column in columns if column.parts == (column.name,)]
    return list(dict.fromkeys([*own, *(part for column in columns for part in column.parts)]))


@dataclass(frozen=True)
class Cell:
    """One figure: a mean over `n` images with its 95 % interval, as fractions; NaN where there is none.

    `undefined` counts the images whose value is NaN, which are out of the mean; those where the metric was not measured
    at all are in neither count. `rank` is among the methods of the same
    model, layer, utility and metric, from 1 and ties sharing their mean rank. `best` are all that share the best mean,
    `second` all that share the next. Of the best, `lead_significant` and `p` are about the lead over the second; None
    of all others, and where there is nothing to compare with.
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
    def key(self) -> Key:
        """What the cell is about."""
        return (self.model, self.layer, self.utility, self.method, self.metric)

    @property
    def measured(self) -> bool:
        """Whether the metric was measured on any image, with a value or without."""
        return self.n + self.undefined > 0

    @property
    def half(self) -> float:
        """Half the width of the interval."""
        return (self.high - self.low) / 2


@dataclass(frozen=True)
class Group:
    """The images that a model was measured on at a layer, under a utility."""

    model: str
    layer: str
    utility: str
    images: int


@dataclass(frozen=True)
class Absent:
    """An image without results of a model at a layer, and why: it could not be explained, or was left out by rule."""

    model: str
    layer: str
    index: int
    image: str
    status: Literal["error", "left out"]
    message: str


@dataclass(frozen=True)
class Summary:
    """An evaluation in figures; cells are in the order of tables."""

    columns: tuple[Column, ...]
    groups: tuple[Group, ...]
    cells: tuple[Cell, ...]
    absent: tuple[Absent, ...] = ()

    @cached_property
    def by_key(self) -> dict[Key, Cell]:
        """Each cell by model, layer, utility, method and metric."""
        return {cell.key: cell for cell in self.cells}

    @property
    def errors(self) -> tuple[Absent, ...]:
        """Images that could not be read or explained."""
        return tuple(one for one in self.absent if one.status == "error")

    @property
    def left_out(self) -> tuple[Absent, ...]:
        """Images that the class rule left out."""
        return tuple(one for one in self.absent if one.status == "left out")

    @property
    def settings(self) -> list[tuple[str, str]]:
        """Layers and utilities, a table each."""
        return list(dict.fromkeys((group.layer, group.utility) for group in self.groups))

    def at(self, layer: str, utility: str) -> Summary:
        """What is about one layer and utility."""
        here = (layer, utility)
        return replace(
            self,
            groups=tuple(group for group in self.groups if (group.layer, group.utility) == here),
            cells=tuple(cell for cell in self.cells if (cell.layer, cell.utility) == here),
            absent=tuple(one for one in self.absent if one.layer == layer),
        )

    def column(self, name: str) -> Column:
        """The column of this name.

        Raises:
            OptionError: there is none.
        """
        found = {column.name: column for column in self.columns}
        name = name if name in found else canonical_metric(name) or name
        if name not in found:
            raise OptionError(f"metric {name!r} is not in these results; {nearest(name, found)}")
        return found[name]


def in_order(names: Iterable[str], known: Iterable[str]) -> list[str]:
    """Names in the order of those known, then others by the alphabet: the same whatever the order of rows."""
    places = {name: place for place, name in enumerate(known)}
    return sorted(set(names), key=lambda name: (places.get(name, len(places)), name))
