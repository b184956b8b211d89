"""Tables and figures from the rows of an evaluation."""

from shapleycam.experiments.results._published import (
    Difference,
    PublishedComparison,
    PublishedFigures,
    compare_with_published,
    load_published,
)
from shapleycam.experiments.results._terminal import TerminalTable, terminal
from shapleycam.experiments.results.cells import Cell, MissingResult, ResultGroup, ResultsSummary
from shapleycam.experiments.results.columns import ADCC_OF_MEANS, OF_MEANS, Column, columns_of, parts_of
from shapleycam.experiments.results.disagreement import Disagreement, find_disagreements
from shapleycam.experiments.results.layouts import LAYOUTS, html, latex, markdown, tidy
from shapleycam.experiments.results.summarising import summarise, summarise_frames

__all__ = [
    "ADCC_OF_MEANS",
    "LAYOUTS",
    "OF_MEANS",
    "Cell",
    "Column",
    "Difference",
    "Disagreement",
    "MissingResult",
    "PublishedComparison",
    "PublishedFigures",
    "ResultGroup",
    "ResultsSummary",
    "TerminalTable",
    "columns_of",
    "compare_with_published",
    "find_disagreements",
    "html",
    "latex",
    "load_published",
    "markdown",
    "parts_of",
    "summarise",
    "summarise_frames",
    "terminal",
    "tidy",
]
