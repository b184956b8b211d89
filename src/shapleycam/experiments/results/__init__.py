"""Tables and figures from the rows of an evaluation."""

from shapleycam.experiments.results._published import (
    Difference,
    PublishedComparison,
    PublishedFigures,
    compare_with_published,
)
from shapleycam.experiments.results._published_files import load_published
from shapleycam.experiments.results._terminal import TerminalTable, terminal, terminal_tables
from shapleycam.experiments.results.cells import Cell, MissingResult, ResultGroup, ResultsSummary
from shapleycam.experiments.results.columns import ADCC_OF_MEANS, OF_MEANS, Column, columns_of, parts_of
from shapleycam.experiments.results.disagreement import Disagreement, find_disagreements
from shapleycam.experiments.results.layouts import LAYOUTS, html, latex, lead_text, markdown, tidy
from shapleycam.experiments.results.lead_tables import LeadTables
from shapleycam.experiments.results.leads import MethodLead, find_leads, published_lead
from shapleycam.experiments.results.summarising import summarise, summarise_frames

__all__ = [
    "ADCC_OF_MEANS",
    "LAYOUTS",
    "OF_MEANS",
    "Cell",
    "Column",
    "Difference",
    "Disagreement",
    "LeadTables",
    "MethodLead",
    "MissingResult",
    "PublishedComparison",
    "PublishedFigures",
    "ResultGroup",
    "ResultsSummary",
    "TerminalTable",
    "columns_of",
    "compare_with_published",
    "find_disagreements",
    "find_leads",
    "html",
    "latex",
    "lead_text",
    "load_published",
    "markdown",
    "parts_of",
    "published_lead",
    "summarise",
    "summarise_frames",
    "terminal",
    "terminal_tables",
    "tidy",
]
