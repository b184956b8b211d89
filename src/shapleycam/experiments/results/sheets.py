"""What a table says, before it has a form: caption, heads, figures as text, notes."""

from __future__ import annotations

from dataclasses import dataclass
from math import isnan

from shapleycam.experiments.results._published import Published, difference, doubt_of
from shapleycam.experiments.results.cells import Cell, Column, Key, Summary
from shapleycam.experiments.results.notes import DOUBTED, notes_of, number_of_images

_MINUS, _NONE = "\u2212", "\u2013"


@dataclass(frozen=True)
class Entry:
    """The text of one figure, and how it stands out: best, second, and whether the best's lead is significant."""

    text: str
    best: bool = False
    second: bool = False
    marked: bool = False


@dataclass(frozen=True)
class Line:
    """A method on a network; `first` of the network's lines."""

    model: str
    method: str
    entries: tuple[Entry, ...]
    first: bool


@dataclass(frozen=True)
class Sheet:
    """The table of one layer and utility; `notes` are sentences below it."""

    caption: str
    heads: tuple[str, ...]
    lines: tuple[Line, ...]
    notes: tuple[str, ...]


def sheets(summary: Summary, *, intervals: bool = True, against: Published | None = None) -> list[Sheet]:
    """A table for each layer and utility: networks and methods down, metrics across.

    With `intervals`, each mean has ± half of its 95 % interval; with `against`, its difference from a published figure
    in percentage points, where there is one.
    """
    return [
        _sheet(summary.at(layer, utility), f"Layer {layer}, utility {utility}", against, intervals=intervals)
        for layer, utility in summary.settings
    ]


def _sheet(summary: Summary, title: str, against: Published | None, *, intervals: bool) -> Sheet:
    comparison = None if against is None else difference(summary, against)
    points = {} if comparison is None else {one.key: one.points for one in comparison.differences}
    columns = {column.name: column for column in summary.columns}
    together: dict[str, dict[str, list[Cell]]] = {}
    for cell in summary.cells:
        together.setdefault(cell.model, {}).setdefault(cell.method, []).append(cell)
    lines = [
        Line(
            model,
            method,
            tuple(
                _entry(cell, columns[cell.metric], points, intervals=intervals, alone=len(methods) == 1)
                for cell in cells
            ),
            first=place == 0,
        )
        for model, methods in together.items()
        for place, (method, cells) in enumerate(methods.items())
    ]
    return Sheet(
        caption=f"{title}, {number_of_images(summary.groups)}",
        heads=("network", "method", *(column.head for column in summary.columns)),
        lines=tuple(lines),
        notes=tuple(notes_of(summary, comparison, intervals=intervals)),
    )


def _entry(cell: Cell, column: Column, points: dict[Key, float], *, intervals: bool, alone: bool) -> Entry:
    """A figure as text; the only method of a network is not set off as its best."""
    if isnan(cell.mean):
        return Entry(_NONE)
    scale, places = (100, 2) if column.percent else (1, 3)
    text = f"{scale * cell.mean:.{places}f}"
    if intervals and not isnan(cell.half):
        text += f" ± {scale * cell.half:.{places}f}"
    if cell.key in points:
        text += f" ({_signed(points[cell.key])}){DOUBTED * (doubt_of(cell.key) is not None)}"
    return Entry(text.replace("-", _MINUS), cell.best and not alone, cell.second, marked=bool(cell.lead_significant))


def _signed(points: float) -> str:
    text = f"{points:+.2f}"
    return "+0.00" if text == "-0.00" else text
