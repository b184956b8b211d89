"""Tables in five forms: terminal, Markdown, LaTeX, HTML, and CSV with one line a figure."""

from __future__ import annotations

import csv
from io import StringIO
from math import isfinite
from typing import Protocol as Interface

from rich.table import Table
from rich.text import Text

from shapleycam.experiments.results import markup
from shapleycam.experiments.results._published import Published, difference, doubt_of
from shapleycam.experiments.results.cells import Summary
from shapleycam.experiments.results.sheets import Entry, Sheet, sheets

_TIDY_HEADS = (
    *("layer", "utility", "model", "method", "metric", "better"),
    *("mean", "low", "high", "n", "undefined", "rank", "p"),
)
_COMPARED_HEADS = ("published_percent", "difference_points", "remarks")


class Layout(Interface):
    """A form of the tables as text."""

    def __call__(self, summary: Summary, *, intervals: bool = True, against: Published | None = None) -> str:
        """The tables of a summary, with intervals, and with differences from published figures."""


def terminal(summary: Summary, *, intervals: bool = True, against: Published | None = None) -> list[Table]:
    """A table of rich's for each layer and utility: best bold, second underlined."""
    return [_rich(sheet) for sheet in sheets(summary, intervals=intervals, against=against)]


def markdown(summary: Summary, *, intervals: bool = True, against: Published | None = None) -> str:
    """GitHub's Markdown: best bold, second underlined by <ins>."""
    return "\n".join(markup.markdown(sheet) for sheet in sheets(summary, intervals=intervals, against=against))


def latex(summary: Summary, *, intervals: bool = True, against: Published | None = None) -> str:
    """A table environment for each layer and utility, which needs no package."""
    return "\n".join(markup.latex(sheet) for sheet in sheets(summary, intervals=intervals, against=against))


def html(summary: Summary, *, intervals: bool = True, against: Published | None = None) -> str:
    """A fragment that needs no style sheet, to be put into any page."""
    return "\n".join(markup.html(sheet) for sheet in sheets(summary, intervals=intervals, against=against))


def tidy(summary: Summary, *, intervals: bool = True, against: Published | None = None) -> str:
    """CSV, one line a figure: fractions at full precision, nothing where undefined; published figures in percent.

    Without `intervals` the columns low and high are left out. CSV has no place for notes: the remarks on a comparison
    are beside each figure that is compared.
    """
    heads = [head for head in _TIDY_HEADS if intervals or head not in {"low", "high"}]
    compared = {} if against is None else {one.key: one for one in difference(summary, against).differences}
    remarks = against.remarks if against else ()
    better = {column.name: column.better for column in summary.columns}
    text = StringIO()
    writer = csv.DictWriter(text, [*heads, *(_COMPARED_HEADS if against else ())], lineterminator="\n")
    writer.writeheader()
    for cell in summary.cells:
        fields = {head: _plain(getattr(cell, head)) for head in heads if head != "better"}
        if (one := compared.get(cell.key)) is not None:
            remark = " ".join(filter(None, (doubt_of(cell.key), *remarks)))
            fields |= dict(zip(_COMPARED_HEADS, (one.published, _plain(one.points), remark), strict=True))
        writer.writerow({**fields, "better": better[cell.metric]})
    return text.getvalue()


LAYOUTS: dict[str, Layout] = {"markdown": markdown, "latex": latex, "html": html, "csv": tidy}
"""The forms that are text, by name."""


def _plain(value: float | str | None) -> float | str:
    """A value as CSV has it; nothing for what is undefined."""
    return "" if value is None or (isinstance(value, float) and not isfinite(value)) else value


def _rich(sheet: Sheet) -> Table:
    caption = Text("\n".join(sheet.notes), style="dim") if sheet.notes else None
    title = Text(sheet.caption, style="bold")
    table = Table(title=title, title_justify="left", caption=caption, caption_justify="left")
    for place, head in enumerate(sheet.heads):
        table.add_column(Text(head), justify="left" if place < 2 else "right", overflow="fold", no_wrap=place == 1)
    for line in sheet.lines:
        if line.first and table.row_count:
            table.add_section()
        figures = [Text(entry.text + "*" * entry.marked, style=_style(entry)) for entry in line.entries]
        table.add_row(Text(line.model if line.first else ""), Text(line.method), *figures)
    return table


def _style(entry: Entry) -> str:
    return "bold" if entry.best else "underline" if entry.second else ""
