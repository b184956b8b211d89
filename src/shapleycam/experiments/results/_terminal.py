"""Tables of results for a terminal, of whatever width it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.console import Group
from rich.table import Table
from rich.text import Text

from shapleycam.experiments.results._published import PublishedFigures
from shapleycam.experiments.results.cells import ResultsSummary
from shapleycam.experiments.results.text_tables import TableEntry, TableRow, TextTable, text_tables
from shapleycam.terminal_tables import Head, build_table


@dataclass(frozen=True)
class TerminalTable:
    """The table of one layer and utility, as rich prints it: best bold, second underlined.

    Attributes:
        caption: layer, utility and number of images, and the network where it is the only one.
        parts: (heading, table) of each part: one, where all networks and metrics fit side by side. Otherwise a part is
            of one network, which its heading names where there are several, and of as many metrics as fit.
        notes: sentences below the table.

    Examples:
        >>> from rich.table import Table
        >>> from shapleycam.experiments.results import TerminalTable
        >>> TerminalTable("Layer last-conv, utility rest, 10 images", (("", Table()),), notes=()).caption
        'Layer last-conv, utility rest, 10 images'
    """

    caption: str
    parts: tuple[tuple[str, Table], ...]
    notes: tuple[str, ...]

    def __rich__(self) -> Group:
        """Return all of it, one below the other."""
        parts = (piece for heading, table in self.parts for piece in ([Text(heading)] if heading else []) + [table])
        return Group(Text(self.caption, "bold"), *parts, *(Text(note, "dim") for note in self.notes))


def terminal(
    summary: ResultsSummary,
    *,
    width: int | None = None,
    intervals: bool = True,
    against: PublishedFigures | None = None,
) -> list[TerminalTable]:
    """Return a table for each layer and utility, at most `width` cells wide, or as wide as it is where that is None.

    A single network has no column. Where the width does not suffice, intervals and differences are on lines of their
    own, and then there are several parts below each other. Names are never cut.

    Examples:
        >>> from shapleycam.experiments.results import Cell, Column, ResultGroup, ResultsSummary, terminal
        >>> from shapleycam.metrics import METRICS
        >>> cell = Cell("vgg16", "last-conv", "rest", "gradcam", "average_drop", 0.3, 0.2, 0.4, 10, 0, rank=1)
        >>> groups = (ResultGroup("vgg16", "last-conv", "rest", images=10),)
        >>> summary = ResultsSummary((Column.of(METRICS["average_drop"]),), groups, (cell,))
        >>> [table.caption for table in terminal(summary)]
        ['Layer last-conv, utility rest, 10 images; network vgg16']
    """
    return terminal_tables(text_tables(summary, intervals=intervals, against=against), width)


def terminal_tables(tables: Sequence[TextTable], width: int | None) -> list[TerminalTable]:
    """Return tables as rich prints them, at most `width` cells wide, or as wide as they are where that is None.

    Examples:
        >>> from shapleycam.experiments.results import terminal_tables
        >>> from shapleycam.experiments.results.text_tables import TableEntry, TableRow, TextTable
        >>> row = TableRow("vgg16", "gradcam", (TableEntry("30.00"),), first=True)
        >>> table = TextTable("Layer last-conv", ("network", "method", "AD"), (row,), notes=())
        >>> [table.caption for table in terminal_tables([table], width=80)]
        ['Layer last-conv; network vgg16']
    """
    return [TerminalTable(_caption(table), tuple(_parts(table, width)), table.notes) for table in tables]


def _caption(table: TextTable) -> str:
    """Return the caption with the network, where there is one alone."""
    models = {row.model for row in table.rows}
    return f"{table.caption}; network {models.pop()}" if len(models) == 1 else table.caption


def _parts(table: TextTable, width: int | None) -> Iterator[tuple[str, Table]]:
    by_model: dict[str, list[TableRow]] = {}
    for row in table.rows:
        by_model.setdefault(row.model, []).append(row)
    heads = [Head(table.heads[0]), Head(table.heads[1]), *(Head(head, "number") for head in table.heads[2:])]
    several = len(by_model) > 1
    rows = [[Text(row.model if row.first else ""), *_cells(row)] for row in table.rows]
    whole = build_table(heads, rows, width) if several else build_table(heads[1:], [row[1:] for row in rows], width)
    if whole is not None:
        yield "", whole
        return
    for model, rows_of_model in by_model.items():
        cells = [_cells(row) for row in rows_of_model]
        yield from ((model if several else "", part) for part in _side_by_side(heads[1:], cells, width))


def _side_by_side(heads: Sequence[Head], rows: Sequence[Sequence[Text]], width: int | None) -> Iterator[Table]:
    """Yield tables of as many figures as fit beside the names, which are the first column; of one at least."""
    start = 1
    while start < len(heads):
        for end in range(len(heads), start, -1):
            places = [0, *range(start, end)]
            allowed = width if end > start + 1 else None
            part = build_table([heads[p] for p in places], [[row[p] for p in places] for row in rows], allowed)
            if part is not None:
                yield part
                start = end
                break


def _cells(row: TableRow) -> list[Text]:
    """Return method and figures."""
    figures = (Text(entry.text + "*" * entry.marked, style=_style(entry)) for entry in row.entries)
    return [Text(row.method), *figures]


def _style(entry: TableEntry) -> str:
    return "bold" if entry.best else "underline" if entry.second else ""
