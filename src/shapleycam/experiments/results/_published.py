"""Published figures, and the differences of measured figures from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from shapleycam.experiments.results.cells import CellKey, ResultsSummary


@dataclass(frozen=True)
class PublishedFigures:
    """Published figures.

    Attributes:
        source: where they were published.
        percent: the figures in percent, by (model, layer, utility, method, metric).
        remarks: sentences for the reader of a comparison: how the measurement differs from the published one.
        other_sources: where figures were published that are not from `source`, by their keys.

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
        """Return where a figure was published."""
        return self.other_sources.get(key, self.source)


@dataclass(frozen=True)
class Difference:
    """A measured figure and the published one, in percent; NaN where the measured one is undefined.

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
    """All cells of a summary that have a published counterpart, and the figures of either side that have none.

    Attributes:
        source: where the published figures are from that are compared.
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
    """Compare each measured figure with the published one; list cells and figures without a counterpart.

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
