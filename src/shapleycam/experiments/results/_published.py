"""The paper's two tables (Cai 2025, arXiv:2501.06261), and the differences of measured figures from them."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from shapleycam.experiments.results.cells import CellKey, ResultsSummary
from shapleycam.experiments.results.columns import ADCC_OF_MEANS

_KEYS = ("network", "layer", "utility", "method")
_FILE = "published.csv"
_HOOKED = {"gradcam", "shapleycam"}
"""Elementwise methods are not concerned: where the ReLU changes the activation, their derivative is zero."""
_OVERWRITTEN = (
    "vgg16 at last-conv: an in-place ReLU follows this convolution and overwrites the activation that a hook keeps, "
    "unless the hook copies it from a GPU before, as for GradCAM. Very probably ShapleyCAM's published figures are of "
    "the overwritten one: in print the average drops of GradCAM and ShapleyCAM are 76.68 and 31.30 (log_probability: "
    "73.65 and 48.76), 45.38 apart, and in the other seven CNNs at most 0.34. Here both read the layer's own "
    "activation, and their maps are nearly one."
)


@dataclass(frozen=True)
class PublishedFigures:
    """Published figures.

    Attributes:
        source: where they were published.
        percent: the figures in percent, by (model, layer, utility, method, metric).
        remarks: sentences for the reader of a comparison: how the measurement differs from the published one.

    Examples:
        >>> from shapleycam.experiments.results import PublishedFigures
        >>> key = ("vgg16", "last-conv", "rest", "gradcam", "average_drop")
        >>> PublishedFigures("a paper", {key: 76.68}).percent[key]
        76.68
    """

    source: str
    percent: Mapping[CellKey, float]
    remarks: tuple[str, ...] = ()


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
        source: where the published figures are from.
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


def explain_doubt(key: CellKey) -> str | None:
    """Return why a published figure is probably not of the method that it names, None where there is no doubt."""
    model, layer, _, method, _ = key
    return _OVERWRITTEN if (model, layer) == ("vgg16", "last-conv") and method in _HOOKED else None


@cache
def load_published() -> PublishedFigures:
    """Return the paper's figures: two layers, ReST, twelve networks, ten methods, six metrics; its ADCC is of means.

    Examples:
        >>> from shapleycam.experiments.results import load_published
        >>> load_published().percent["resnet18", "before-pool", "rest", "gradcam", "average_drop"]
        18.73
    """
    figures: dict[CellKey, float] = {}
    text = files(__package__).joinpath(_FILE).read_text(encoding="utf-8")
    for row in csv.DictReader(text.splitlines()):
        model, layer, utility, method = (row.pop(name) for name in _KEYS)
        for metric, figure in row.items():
            name = ADCC_OF_MEANS if metric == "adcc" else metric
            figures[model, layer, utility, method, name] = float(figure)
    return PublishedFigures("Cai 2025, arXiv:2501.06261", figures)


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
    return PublishedComparison(
        against.source,
        tuple(Difference(key, percent, published[key]) for key, percent in measured.items() if key in published),
        tuple(key for key in measured if key not in published),
        tuple(key for key in published if key not in measured),
        against.remarks,
    )
