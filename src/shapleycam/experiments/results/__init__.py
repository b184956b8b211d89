"""From the rows of an evaluation to tables and figures."""

from shapleycam.experiments.results._published import Comparison, Difference, Published, difference, published
from shapleycam.experiments.results.cells import (
    ADCC_OF_MEANS,
    OF_MEANS,
    Absent,
    Cell,
    Column,
    Group,
    Summary,
    columns_of,
    parts_of,
)
from shapleycam.experiments.results.disagreement import Disagreement, disagreements
from shapleycam.experiments.results.layouts import LAYOUTS, html, latex, markdown, terminal, tidy
from shapleycam.experiments.results.summarising import summarise, summarise_each

__all__ = [
    "ADCC_OF_MEANS",
    "LAYOUTS",
    "OF_MEANS",
    "Absent",
    "Cell",
    "Column",
    "Comparison",
    "Difference",
    "Disagreement",
    "Group",
    "Published",
    "Summary",
    "columns_of",
    "difference",
    "disagreements",
    "html",
    "latex",
    "markdown",
    "parts_of",
    "published",
    "summarise",
    "summarise_each",
    "terminal",
    "tidy",
]
