"""`terminal`: tables of results for a terminal of any width."""

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
    """The table of one layer and utility, for rich: the best figure is bold, the second underlined.

    Attributes:
        caption: layer, utility and number of images, and the network if there is only one.
        parts: (heading, table) of each part. If all networks and metrics fit into the width, there is one part.
            Otherwise each part has one network and as many metrics as fit; the heading is the network's name if there
            are several networks.
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
        """Return the caption, the parts and the notes, one below the other."""
        parts = (item for heading, table in self.parts for item in ([Text(heading)] if heading else []) + [table])
        return Group(Text(self.caption, "bold"), *parts, *(Text(note, "dim") for note in self.notes))


def terminal(
    summary: ResultsSummary,
    *,
    width: int | None = None,
    intervals: bool = True,
    against: PublishedFigures | None = None,
) -> list[TerminalTable]:
    """Return a table for each layer and utility, at most `width` characters wide; None for no limit.

    There is no column for the network if there is only one. If the table is too wide, intervals and differences are put
    on separate lines. If it is still too wide, it is divided into several parts. Names are never truncated.

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
    """Return tables for rich, at most `width` characters wide; None for no limit.

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
    """Return the caption, with the network's name if there is only one network."""
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
    """Yield tables with the names in the first column and as many further columns as fit, but at least one."""
    start = 1
    while start < len(heads):
        for end in range(len(heads), start, -1):
            columns = [0, *range(start, end)]
            allowed = width if end > start + 1 else None
            part = build_table([heads[c] for c in columns], [[row[c] for c in columns] for row in rows], allowed)
            if part is not None:
                yield part
                start = end
                break


def _cells(row: TableRow) -> list[Text]:
    """Return the cells of a row: the method and its figures."""
    figures = (Text(entry.text + "*" * entry.marked, style=_style(entry)) for entry in row.entries)
    return [Text(row.method), *figures]


def _style(entry: TableEntry) -> str:
    return "bold" if entry.best else "underline" if entry.second else ""
