"""Tables as plain text in four forms: Markdown, LaTeX, HTML, and CSV with one line for each figure."""

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
_OF_ALL = ("removal", "precision", "smooth")
"""Columns that are the same for all figures."""
_COMPARED_HEADS = ("published_percent", "difference_points", "remarks")


class TableLayout(Interface):
    """A form of the tables as text."""

    def __call__(
        self, summary: ResultsSummary, *, intervals: bool = True, against: PublishedFigures | None = None
    ) -> str:
        """Return the tables of a summary, with intervals, and with differences from published figures."""


def markdown(summary: ResultsSummary, *, intervals: bool = True, against: PublishedFigures | None = None) -> str:
    """Return GitHub's Markdown: best bold, second underlined by <ins>.

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
    r"""Return a LaTeX table environment for each layer and utility, which needs no package.

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
    """Return a fragment of HTML that needs no style sheet and can be put into any page.

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
    """Return CSV, one line for each figure: fractions at full precision, empty where undefined.

    Published figures are in percent. Without `intervals` the columns low and high are left out. CSV has no room for
    notes: the remarks on a comparison are in the line of each figure that is compared.

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
        fields = {head: _csv_value(getattr(cell, head)) for head in heads if head not in {"better", *_OF_ALL}}
        if (figure := compared.get(cell.key)) is not None:
            remark = " ".join(filter(None, (explain_doubt(cell.key), *remarks)))
            fields |= dict(zip(_COMPARED_HEADS, (figure.published, _csv_value(figure.points), remark), strict=True))
        of_all = {head: getattr(summary, head) for head in _OF_ALL}
        writer.writerow({**fields, "better": better[cell.metric], **of_all})
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
"""The forms that are plain text, by name."""


def _csv_value(value: float | str | None) -> float | str:
    """Return a value as CSV has it, "" for an undefined one."""
    return "" if value is None or (isinstance(value, float) and not isfinite(value)) else value
