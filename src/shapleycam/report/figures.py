"""The figures of an evaluation, for one layer and utility."""

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
    """A figure with its title; `reason` says why it is not drawn where there is no picture."""

    title: str
    picture: Picture | None
    reason: str = ""


def figures(summary: ResultsSummary, mean_curves: Sequence[MeanCurve] | None) -> list[ReportFigure]:
    """Draw all figures that the results of one layer and utility allow."""
    return [_draw(figure) for figure in available_figures(summary, mean_curves)]


def _draw(figure: FigureSpec) -> ReportFigure:
    """Draw a figure; an error in one must not prevent the others."""
    try:
        return ReportFigure(figure.title, figure_picture(figure.draw(), figure.alt))
    except OptionError as error:
        return ReportFigure(figure.title, None, str(error))
