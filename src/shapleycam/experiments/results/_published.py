"""`compare_with_published`: the differences between measured and published figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from shapleycam.experiments.results.cells import CellKey, ResultsSummary


@dataclass(frozen=True)
class PublishedFigures:
    """Published figures.

    Attributes:
        source: the publication of the figures.
        percent: the figures in percent, by (model, layer, utility, method, metric).
        remarks: sentences for the reader of a comparison, on how the measurement differs from the published one.
        other_sources: for figures that are not from `source`, their publication, by their keys.

    Examples:
        >>> from shapleycam.experiments.results import PublishedFigures
        >>> key = ("vgg16", "last-conv", "rest", "gradcam", "average_drop")
        >>> PublishedFigures("a paper", {key: 76.68}).percent[key]
        76.68
    """

    source: str
    percent: Mapping[CellKey, float]
    remarks: tuple[str, ...] = ()
    other_sources: Mapping[CellKey, str] = field(default_factory=dict)

    def source_of(self, key: CellKey) -> str:
        """Return the publication of a figure."""
        return self.other_sources.get(key, self.source)


@dataclass(frozen=True)
class Difference:
    """A measured figure and the published figure, in percent; `measured` is NaN if it is undefined.

    Examples:
        >>> from shapleycam.experiments.results import Difference
        >>> Difference(("vgg16", "last-conv", "rest", "gradcam", "average_drop"), measured=30.0, published=25.0).points
        5.0
    """

    key: CellKey
    measured: float
    published: float

    @property
    def points(self) -> float:
        """Return measured - published, in percentage points."""
        return self.measured - self.published


@dataclass(frozen=True)
class PublishedComparison:
    """The comparison of a summary with published figures, including the figures that only one of them has.

    Attributes:
        source: the publication of the compared figures.
        differences: one for each figure that is both measured and published.
        unpublished: the keys of measured figures that are not published.
        unmeasured: the keys of published figures that are not measured.
        remarks: as in `PublishedFigures`.

    Examples:
        >>> from shapleycam.experiments.results import PublishedComparison
        >>> PublishedComparison("a paper", differences=(), unpublished=(), unmeasured=()).source
        'a paper'
    """

    source: str
    differences: tuple[Difference, ...]
    unpublished: tuple[CellKey, ...]
    unmeasured: tuple[CellKey, ...]
    remarks: tuple[str, ...] = ()


def compare_with_published(summary: ResultsSummary, against: PublishedFigures) -> PublishedComparison:
    """Return the difference of each measured figure from the published one, and the figures without a counterpart.

    Examples:
        >>> from shapleycam.experiments.results import Cell, Column, ResultGroup, ResultsSummary
        >>> from shapleycam.experiments.results import compare_with_published, load_published
        >>> from shapleycam.metrics import METRICS
        >>> cell = Cell("vgg16", "last-conv", "rest", "gradcam", "average_drop", 0.3, 0.2, 0.4, 10, 0, rank=1)
        >>> groups = (ResultGroup("vgg16", "last-conv", "rest", images=10),)
        >>> summary = ResultsSummary((Column.of(METRICS["average_drop"]),), groups, (cell,))
        >>> (difference,) = compare_with_published(summary, load_published()).differences
        >>> round(difference.measured, 2), round(difference.published, 2)
        (30.0, 76.68)
    """
    published = against.percent
    measured = {cell.key: 100 * cell.mean for cell in summary.cells if cell.measured}
    sources = dict.fromkeys(against.source_of(key) for key in measured if key in published)
    return PublishedComparison(
        "; ".join(sources) or against.source,
        tuple(Difference(key, percent, published[key]) for key, percent in measured.items() if key in published),
        tuple(key for key in measured if key not in published),
        tuple(key for key in published if key not in measured),
        against.remarks,
    )
