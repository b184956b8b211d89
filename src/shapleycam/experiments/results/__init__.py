"""From the rows of an evaluation to tables and figures."""

from shapleycam.experiments.results.cells import ADCC_OF_MEANS, Absent, Cell, Column, Group, Summary
from shapleycam.experiments.results.layouts import LAYOUTS, html, latex, markdown, terminal, tidy
from shapleycam.experiments.results.published import Comparison, Difference, Published, difference, published
from shapleycam.experiments.results.summary import summarise

__all__ = [
    "ADCC_OF_MEANS",
    "LAYOUTS",
    "Absent",
    "Cell",
    "Column",
    "Comparison",
    "Difference",
    "Group",
    "Published",
    "Summary",
    "difference",
    "html",
    "latex",
    "markdown",
    "published",
    "summarise",
    "terminal",
    "tidy",
]
