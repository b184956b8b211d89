"""The figures in a report on an evaluation, for one layer and utility."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from shapleycam.errors import OptionError
from shapleycam.experiments.results import ResultsSummary
from shapleycam.experiments.results.available_figures import FigureSpec, available_figures
from shapleycam.experiments.results.mean_curves import MeanCurve
from shapleycam.report.pictures import Picture, figure_picture


@dataclass(frozen=True)
class ReportFigure:
    """A figure with its title; if there is no picture, `reason` says why."""

    title: str
    picture: Picture | None
    reason: str = ""


def figures(summary: ResultsSummary, mean_curves: Sequence[MeanCurve] | None) -> list[ReportFigure]:
    """Return all figures that the results of one layer and utility allow."""
    return [_draw(figure) for figure in available_figures(summary, mean_curves)]


def _draw(figure: FigureSpec) -> ReportFigure:
    """Return a drawn figure, or the reason why it cannot be drawn, so that an error does not prevent the others."""
    try:
        return ReportFigure(figure.title, figure_picture(figure.draw(), figure.alt))
    except OptionError as error:
        return ReportFigure(figure.title, None, str(error))
