"""The summary of an evaluation: a cell for each model, layer, utility, method and metric, and the missing results."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, TypeAlias

from shapleycam.errors import OptionError, nearest
from shapleycam.experiments.results.columns import Column
from shapleycam.metrics.table import canonical_metric

CellKey: TypeAlias = tuple[str, str, str, str, str]
"""Model, layer, utility, method, metric."""


@dataclass(frozen=True)
class Cell:
    """One figure: a mean over images with its 95% interval, as fractions; NaN where there is none.

    Attributes:
        model: name of the network; `layer`, `utility`, `method` and `metric` are names too.
        mean: over the `n` images where the metric is defined.
        low: lower end of the 95% interval, `high` the upper one.
        n: how many images are in the mean.
        undefined: how many images have the value NaN, and are not in the mean. Images where the metric was not measured
            are in neither count.
        rank: among the methods of the same model, layer, utility and metric, from 1; ties share their mean rank.
        best: whether it is the best mean, or shares it; `second`, whether it is or shares the next one.
        lead_significant: whether the best leads the second by more than chance; None for cells that are not best, and
            where there is nothing to compare with.
        p: of that lead, two-sided; None likewise.

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
        """Return whether the metric was measured on any image, defined or not."""
        return self.n + self.undefined > 0

    @property
    def half(self) -> float:
        """Return half the width of the interval."""
        return (self.high - self.low) / 2


@dataclass(frozen=True)
class ResultGroup:
    """A model at a layer with a utility, and how many images it was measured on.

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
    """An image without results of a model at a layer, and why: an error, or the class rule left it out.

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
    """The figures of an evaluation; cells are in the order of tables.

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
    """What stood in for absent places, the same in all."""
    precision: str = "full"
    """Of what comes before the layer, the same in all."""
    smooth: str = "none"
    """How the maps were smoothed, the same in all."""
    copies: tuple[tuple[str, str], ...] = ()
    """Images that are copies of earlier ones, which count again, each with the first of its content."""

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
