"""The figures of an evaluation, for one layer and utility."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import polars as pl
from matplotlib.figure import Figure

from shapleycam.errors import OptionError
from shapleycam.experiments.results import Summary
from shapleycam.experiments.results.diagram import rank_diagram
from shapleycam.experiments.results.plots import curves, metric_against_metric
from shapleycam.report.pictures import Picture, drawing


@dataclass(frozen=True)
class Drawn:
    """A figure with its title; without a picture, why it is not drawn."""

    title: str
    picture: Picture | None
    reason: str = ""


def figures(summary: Summary, curve_rows: pl.DataFrame | None) -> list[Drawn]:
    """What the results of one layer and utility allow: metric against metric, ranks over networks, curves."""
    return [_drawn(title, alt, draw) for title, alt, draw in _choices(summary, curve_rows)]


def _choices(summary: Summary, curve_rows: pl.DataFrame | None) -> Iterator[tuple[str, str, Callable[[], Figure]]]:
    """Title, what it shows in words, and how it is drawn."""
    ((layer, utility),) = summary.settings
    columns = summary.columns
    if len(columns) > 1:
        first, last = columns[0], columns[-1]
        title = f"{first.title} against {last.title}"
        alt = f"Each method as a point, {first.head} across and {last.head} up; the figures are in the table"
        yield title, alt, partial(metric_against_metric, summary, first.name, last.name)
    if len(summary.groups) > 1 and len({cell.method for cell in summary.cells}) > 2:
        for column in columns:
            alt = f"Mean rank of each method by {column.head} over the networks, and which methods are not told apart"
            yield f"Ranks by {column.title}", alt, partial(rank_diagram, summary, column.name)
    if curve_rows is not None:
        alt = "The probability of the class as pixels are added or removed in the order of each method's map"
        yield "Insertion and deletion curves", alt, partial(curves, curve_rows, layer=layer, utility=utility)


def _drawn(title: str, alt: str, draw: Callable[[], Figure]) -> Drawn:
    """A figure; one that cannot be drawn of these results must not keep the others from it."""
    try:
        return Drawn(title, drawing(draw(), alt))
    except OptionError as error:
        return Drawn(title, None, str(error))
