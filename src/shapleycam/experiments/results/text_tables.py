"""`text_tables`: tables whose figures are text, before they are written as Markdown, LaTeX, HTML or for a terminal."""

from __future__ import annotations

from dataclasses import dataclass
from math import isnan

from shapleycam.experiments.results._doubts import explain_doubt
from shapleycam.experiments.results._published import PublishedFigures, compare_with_published
from shapleycam.experiments.results.cells import Cell, CellKey, ResultsSummary
from shapleycam.experiments.results.columns import Column
from shapleycam.experiments.results.notes import DOUBTED, notes_of, number_of_images

NO_FIGURE = "\u2013"
"""The text of an undefined figure."""


@dataclass(frozen=True)
class TableEntry:
    """The text of one figure, whether it is the best or the second best, and whether its lead is significant."""

    text: str
    best: bool = False
    second: bool = False
    marked: bool = False


@dataclass(frozen=True)
class TableRow:
    """The figures of a method on a network; `first` is true for the first of the network's rows."""

    model: str
    method: str
    entries: tuple[TableEntry, ...]
    first: bool


@dataclass(frozen=True)
class TextTable:
    """The table of one layer and utility; `notes` are sentences below it."""

    caption: str
    heads: tuple[str, ...]
    rows: tuple[TableRow, ...]
    notes: tuple[str, ...]


def text_tables(
    summary: ResultsSummary, *, intervals: bool = True, against: PublishedFigures | None = None
) -> list[TextTable]:
    """Return a table for each layer and utility; rows are networks and methods, columns are metrics.

    With `intervals`, each mean is followed by ± half of its 95% interval. With `against`, it is followed by the
    difference from its published figure in percentage points, if there is one.
    """
    return [
        _text_table(summary.at(layer, utility), f"Layer {layer}, utility {utility}", against, intervals=intervals)
        for layer, utility in summary.settings
    ]


def _text_table(summary: ResultsSummary, title: str, against: PublishedFigures | None, *, intervals: bool) -> TextTable:
    comparison = None if against is None else compare_with_published(summary, against)
    points = {} if comparison is None else {figure.key: figure.points for figure in comparison.differences}
    columns = {column.name: column for column in summary.columns}
    by_model: dict[str, dict[str, list[Cell]]] = {}
    for cell in summary.cells:
        by_model.setdefault(cell.model, {}).setdefault(cell.method, []).append(cell)
    rows = [
        TableRow(
            model,
            method,
            tuple(
                _entry(cell, columns[cell.metric], points, intervals=intervals, alone=len(methods) == 1)
                for cell in cells
            ),
            first=index == 0,
        )
        for model, methods in by_model.items()
        for index, (method, cells) in enumerate(methods.items())
    ]
    return TextTable(
        caption=f"{title}, {number_of_images(summary.groups)}",
        heads=("network", "method", *(column.head for column in summary.columns)),
        rows=tuple(rows),
        notes=tuple(notes_of(summary, comparison, intervals=intervals)),
    )


def _entry(cell: Cell, column: Column, points: dict[CellKey, float], *, intervals: bool, alone: bool) -> TableEntry:
    """Return a figure as text; the only method of a network is not marked as the best."""
    if isnan(cell.mean):
        return TableEntry(NO_FIGURE)
    scale, decimals = (100, 2) if column.percent else (1, 3)
    text = f"{scale * cell.mean:.{decimals}f}"
    if intervals and not isnan(cell.half):
        text += f" ± {scale * cell.half:.{decimals}f}"
    if cell.key in points:
        text += f" ({signed(points[cell.key])}){DOUBTED * (explain_doubt(cell.key) is not None)}"
    return TableEntry(text, cell.best and not alone, cell.second, marked=bool(cell.lead_significant))


def signed(figure: float, decimals: int = 2) -> str:
    """Return a difference as text with its sign; a difference that is rounded to zero has the sign +."""
    text = f"{figure:+.{decimals}f}"
    return text.replace("-", "+") if float(text) == 0 else text
