"""Tables as Markdown, LaTeX and HTML, and as CSV with one line for each figure."""

from __future__ import annotations

import csv
from io import StringIO
from math import isfinite
from typing import Protocol as Interface

from shapleycam.experiments.results import markup
from shapleycam.experiments.results._doubts import explain_doubt
from shapleycam.experiments.results._published import PublishedFigures, compare_with_published
from shapleycam.experiments.results.cells import ResultsSummary
from shapleycam.experiments.results.lead_tables import LeadTables
from shapleycam.experiments.results.text_tables import text_tables

_TIDY_HEADS = (
    *("layer", "utility", "model", "method", "metric", "better"),
    *("mean", "low", "high", "n", "undefined", "rank", "p", "removal", "precision", "smooth"),
)
_CONSTANT_HEADS = ("removal", "precision", "smooth")
"""Columns whose value is the same for all figures."""
_COMPARED_HEADS = ("published_percent", "difference_points", "remarks")


class TableLayout(Interface):
    """A function that returns the tables of a summary as text."""

    def __call__(
        self, summary: ResultsSummary, *, intervals: bool = True, against: PublishedFigures | None = None
    ) -> str:
        """Return the tables of a summary, with intervals, and with differences from published figures."""


def markdown(summary: ResultsSummary, *, intervals: bool = True, against: PublishedFigures | None = None) -> str:
    """Return tables in GitHub's Markdown; the best figure is bold, the second underlined by <ins>.

    Examples:
        >>> from shapleycam.experiments.results import Cell, Column, ResultGroup, ResultsSummary, markdown
        >>> from shapleycam.metrics import METRICS
        >>> cell = Cell("vgg16", "last-conv", "rest", "gradcam", "average_drop", 0.3, 0.2, 0.4, 10, 0, rank=1)
        >>> groups = (ResultGroup("vgg16", "last-conv", "rest", images=10),)
        >>> summary = ResultsSummary((Column.of(METRICS["average_drop"]),), groups, (cell,))
        >>> print(markdown(summary, intervals=False).splitlines()[-1])
        | vgg16 | gradcam | 30.00 |
    """
    return "\n".join(
        markup.markdown_of(text_table) for text_table in text_tables(summary, intervals=intervals, against=against)
    )


def latex(summary: ResultsSummary, *, intervals: bool = True, against: PublishedFigures | None = None) -> str:
    r"""Return a LaTeX table environment for each layer and utility; it needs no LaTeX packages.

    Examples:
        >>> from shapleycam.experiments.results import Cell, Column, ResultGroup, ResultsSummary, latex
        >>> from shapleycam.metrics import METRICS
        >>> cell = Cell("vgg16", "last-conv", "rest", "gradcam", "average_drop", 0.3, 0.2, 0.4, 10, 0, rank=1)
        >>> groups = (ResultGroup("vgg16", "last-conv", "rest", images=10),)
        >>> summary = ResultsSummary((Column.of(METRICS["average_drop"]),), groups, (cell,))
        >>> print(latex(summary, intervals=False).splitlines()[-4])
        vgg16 & gradcam & 30.00 \\
    """
    return "\n".join(
        markup.latex_of(text_table) for text_table in text_tables(summary, intervals=intervals, against=against)
    )


def html(summary: ResultsSummary, *, intervals: bool = True, against: PublishedFigures | None = None) -> str:
    """Return a fragment of HTML that needs no style sheet, and can be inserted into any page.

    Examples:
        >>> from shapleycam.experiments.results import Cell, Column, ResultGroup, ResultsSummary, html
        >>> from shapleycam.metrics import METRICS
        >>> cell = Cell("vgg16", "last-conv", "rest", "gradcam", "average_drop", 0.3, 0.2, 0.4, 10, 0, rank=1)
        >>> groups = (ResultGroup("vgg16", "last-conv", "rest", images=10),)
        >>> summary = ResultsSummary((Column.of(METRICS["average_drop"]),), groups, (cell,))
        >>> html(summary).startswith("<table")
        True
    """
    return "\n".join(
        markup.html_of(text_table) for text_table in text_tables(summary, intervals=intervals, against=against)
    )


def tidy(summary: ResultsSummary, *, intervals: bool = True, against: PublishedFigures | None = None) -> str:
    """Return CSV with one line for each figure: fractions at full precision, empty if undefined.

    Published figures are in percent. Without `intervals`, there are no columns low and high. Instead of notes below the
    table, the remarks on a comparison are repeated in the line of each compared figure.

    Examples:
        >>> from shapleycam.experiments.results import Cell, Column, ResultGroup, ResultsSummary, tidy
        >>> from shapleycam.metrics import METRICS
        >>> cell = Cell("vgg16", "last-conv", "rest", "gradcam", "average_drop", 0.3, 0.2, 0.4, 10, 0, rank=1)
        >>> groups = (ResultGroup("vgg16", "last-conv", "rest", images=10),)
        >>> summary = ResultsSummary((Column.of(METRICS["average_drop"]),), groups, (cell,))
        >>> tidy(summary, intervals=False).splitlines()[1]
        'last-conv,rest,vgg16,gradcam,average_drop,low,0.3,10,0,1,,zero,full,none'
    """
    heads = [head for head in _TIDY_HEADS if intervals or head not in {"low", "high"}]
    compared = (
        {}
        if against is None
        else {figure.key: figure for figure in compare_with_published(summary, against).differences}
    )
    remarks = against.remarks if against else ()
    better = {column.name: column.better for column in summary.columns}
    text = StringIO()
    writer = csv.DictWriter(text, [*heads, *(_COMPARED_HEADS if against else ())], lineterminator="\n")
    writer.writeheader()
    for cell in summary.cells:
        fields = {head: _csv_value(getattr(cell, head)) for head in heads if head not in {"better", *_CONSTANT_HEADS}}
        if (figure := compared.get(cell.key)) is not None:
            remark = " ".join(filter(None, (explain_doubt(cell.key), *remarks)))
            fields |= dict(zip(_COMPARED_HEADS, (figure.published, _csv_value(figure.points), remark), strict=True))
        constants = {head: getattr(summary, head) for head in _CONSTANT_HEADS}
        writer.writerow({**fields, "better": better[cell.metric], **constants})
    return text.getvalue()


def lead_text(leads: LeadTables, form: str) -> str:
    """Return the leads of one method over another as "markdown", "latex", "html" or "csv".

    Examples:
        >>> from shapleycam.experiments.results import Column, LeadTables, MethodLead, ResultGroup, lead_text
        >>> from shapleycam.metrics import METRICS
        >>> group = ResultGroup("vgg16", "last-conv", "rest", images=10)
        >>> lead = MethodLead(group, "complexity", mean=0.02, low=0.01, high=0.03, n=10, p=0.01, p_holm=0.01)
        >>> tables = LeadTables(("shapleycam", "gradcam"), [lead], [Column.of(METRICS["complexity"])])
        >>> print(lead_text(tables, "csv").splitlines()[1])
        last-conv,rest,vgg16,complexity,shapleycam,gradcam,0.02,0.01,0.03,10,0.01,0.01
    """
    if form == "csv":
        return leads.csv()
    return "\n".join(map(_MARKUP[form], leads.text_tables()))


_MARKUP = {"markdown": markup.markdown_of, "latex": markup.latex_of, "html": markup.html_of}
LAYOUTS: dict[str, TableLayout] = {"markdown": markdown, "latex": latex, "html": html, "csv": tidy}
"""The functions that return tables as text, by the name of their format."""


def _csv_value(value: float | str | None) -> float | str:
    """Return a value for CSV; "" if it is undefined."""
    return "" if value is None or (isinstance(value, float) and not isfinite(value)) else value
