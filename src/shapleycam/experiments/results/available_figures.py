"""The figures that can be drawn from the results of one layer and utility."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from matplotlib.figure import Figure

from shapleycam.experiments.results.cells import ResultsSummary
from shapleycam.experiments.results.curves import curves
from shapleycam.experiments.results.diagram import rank_diagram
from shapleycam.experiments.results.mean_curves import MeanCurve
from shapleycam.experiments.results.plots import metric_against_metric


@dataclass(frozen=True)
class FigureSpec:
    """A figure that can be drawn.

    Attributes:
        name: the file name without suffix.
        title: the title.
        alt: the alternative text for readers who cannot see the figure.
        draw: a function that draws it.
    """

    name: str
    title: str
    alt: str
    draw: Callable[[], Figure]


def available_figures(summary: ResultsSummary, mean_curves: Sequence[MeanCurve] | None) -> Iterator[FigureSpec]:
    """Yield the figures for a summary of one layer and utility.

    These are: the first metric against the last, ranks over networks for each metric, and curves.
    """
    ((layer, utility),) = summary.settings
    columns, end = summary.columns, f"{layer}_{utility}"
    if len(columns) > 1:
        first, last = columns[0], columns[-1]
        yield FigureSpec(
            f"{first.name}_{last.name}_{end}",
            f"{first.title} against {last.title}",
            f"Each method as a point, {first.head} across and {last.head} up; the figures are in the table",
            partial(metric_against_metric, summary, first.name, last.name),
        )
    if len(summary.groups) > 1 and len({cell.method for cell in summary.cells}) > 2:
        for column in columns:
            yield FigureSpec(
                f"ranks_{column.name}_{end}",
                f"Ranks by {column.title}",
                f"Mean rank of each method by {column.head} over the networks, and which methods are not told apart",
                partial(rank_diagram, summary, column.name),
            )
    if mean_curves is not None:
        yield FigureSpec(
            f"curves_{end}",
            "Insertion and deletion curves",
            "The probability of the class as pixels are added or removed in the order of each method's map",
            partial(curves, mean_curves, layer=layer, utility=utility),
        )
