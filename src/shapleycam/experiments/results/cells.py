"""`ResultsSummary`: a cell for each model, layer, utility, method and metric, and the images without results."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, TypeAlias

from shapleycam.errors import OptionError
from shapleycam.experiments.pending_in_words import Pending
from shapleycam.experiments.results.columns import Column
from shapleycam.metrics.table import canonical_metric
from shapleycam.names import nearest

CellKey: TypeAlias = tuple[str, str, str, str, str]
"""Model, layer, utility, method, metric."""


@dataclass(frozen=True)
class Cell:
    """One figure: a mean over images with its 95% interval, as fractions; NaN where it is undefined.

    Attributes:
        model: name of the network.
        layer: name of the layer.
        utility: name of the utility.
        method: name of the method.
        metric: name of the metric.
        mean: the mean over the `n` images for which the metric is defined.
        low: lower end of the 95% interval.
        high: upper end of the 95% interval.
        n: number of images in the mean.
        undefined: number of images whose value is NaN; they are not in the mean. Images for which the metric was not
            measured are not counted in `n` or `undefined`.
        rank: rank among the methods of the same model, layer, utility and metric, from 1; ties share their mean rank.
        best: whether the mean is the best one, possibly tied with others.
        second: whether the mean is the second best one, possibly tied with others.
        lead_significant: whether the best method's lead over the second is significant; None for cells that are not
            best, or if there is no other method.
        p: two-sided p-value of this lead; None if `lead_significant` is.

    Examples:
        >>> from shapleycam.experiments.results import Cell
        >>> cell = Cell("vgg16", "last-conv", "rest", "gradcam", "average_drop", 0.3, 0.2, 0.4, 10, 0, rank=1)
        >>> round(cell.half, 2)
        0.1
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
        """Return whether the metric was measured on any image, even if it is undefined there."""
        return self.n + self.undefined > 0

    @property
    def half(self) -> float:
        """Return half the width of the interval."""
        return (self.high - self.low) / 2


@dataclass(frozen=True)
class ResultGroup:
    """A model at a layer with a utility, and the number of images on which it was measured.

    Examples:
        >>> from shapleycam.experiments.results import ResultGroup
        >>> ResultGroup("vgg16", "last-conv", "rest", images=10).images
        10
    """

    model: str
    layer: str
    utility: str
    images: int


@dataclass(frozen=True)
class MissingResult:
    """An image without results for a model at a layer, because of an error, or because the class rule excludes it.

    Examples:
        >>> from shapleycam.experiments.results import MissingResult
        >>> MissingResult("vgg16", "last-conv", 3, "cat.jpg", "left out", "predicted 1, labelled 2").message
        'predicted 1, labelled 2'
    """

    model: str
    layer: str
    index: int
    image: str
    status: Literal["error", "left out"]
    message: str


@dataclass(frozen=True)
class ResultsSummary:
    """The figures of an evaluation.

    Attributes:
        columns: the columns of its tables.
        groups: the models, layers and utilities.
        cells: the figures, in the order of tables.
        absent: the images without results.
        removal: the removal, the same for all figures.
        precision: the precision of the network before the layer, the same for all figures.
        smooth: the smoothing of the maps, the same for all figures.
        copies: pairs (copy, original) of images with the same content; copies count again in the means.
        pending: the models of unfinished runs, with the number of images that are not measured yet.

    Examples:
        >>> from shapleycam.experiments.results import Column, ResultGroup, ResultsSummary
        >>> from shapleycam.metrics import METRICS
        >>> columns = (Column.of(METRICS["average_drop"]),)
        >>> summary = ResultsSummary(columns, (ResultGroup("vgg16", "last-conv", "rest", images=10),), cells=())
        >>> summary.settings
        [('last-conv', 'rest')]
    """

    columns: tuple[Column, ...]
    groups: tuple[ResultGroup, ...]
    cells: tuple[Cell, ...]
    absent: tuple[MissingResult, ...] = ()
    removal: str = "zero"
    precision: str = "full"
    smooth: str = "none"
    copies: tuple[tuple[str, str], ...] = ()
    pending: tuple[Pending, ...] = ()

    @cached_property
    def by_key(self) -> dict[CellKey, Cell]:
        """Return the cells by model, layer, utility, method and metric."""
        return {cell.key: cell for cell in self.cells}

    @property
    def errors(self) -> tuple[MissingResult, ...]:
        """Return the images that could not be read or explained."""
        return tuple(image for image in self.absent if image.status == "error")

    @property
    def left_out(self) -> tuple[MissingResult, ...]:
        """Return the images that the class rule excludes."""
        return tuple(image for image in self.absent if image.status == "left out")

    @property
    def settings(self) -> list[tuple[str, str]]:
        """Return the pairs (layer, utility); there is a table for each pair."""
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
            OptionError: there is no such column.
        """
        columns = {column.name: column for column in self.columns}
        name = name if name in columns else canonical_metric(name) or name
        if name not in columns:
            raise OptionError(f"metric {name!r} is not in these results; {nearest(name, columns)}")
        return columns[name]


def sort_by_table(names: Iterable[str], known: Iterable[str]) -> list[str]:
    """Return distinct names: first known names in the order of `known`, then other names in alphabetical order."""
    index = {name: position for position, name in enumerate(known)}
    return sorted(set(names), key=lambda name: (index.get(name, len(index)), name))
