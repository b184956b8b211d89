"""The figures of an evaluation, for one layer and utility."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from shapleycam.errors import OptionError
from shapleycam.experiments.results import ResultsSummary
from shapleycam.experiments.results.available_figures import FigureSpec, available_figures
from shapleycam.report.pictures import Picture, figure_picture


@dataclass(frozen=True)
class ReportFigure:
    """A figure with its title; `reason` says why it is not drawn where there is no picture."""

    title: str
    picture: Picture | None
    reason: str = ""


def figures(summary: ResultsSummary, curve_rows: pl.DataFrame | None) -> list[ReportFigure]:
    """Draw all figures that the results of one layer and utility allow."""
    return [_draw(figure) for figure in available_figures(summary, curve_rows)]


def _draw(figure: FigureSpec) -> ReportFigure:
    """Draw a figure; an error in one must not prevent the others."""
    try:
        return ReportFigure(figure.title, figure_picture(figure.draw(), figure.alt))
    except OptionError as error:
        return ReportFigure(figure.title, None, str(error))
