"""Figures of an evaluation: metric against metric, mean ranks over networks, insertion and deletion curves."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from shapleycam.experiments.results.cells import Cell, Column, Summary
from shapleycam.experiments.results.curves import curves
from shapleycam.experiments.results.diagram import methods_of, rank_diagram
from shapleycam.experiments.results.panels import choose, label, legend, mean_and_half, panels, save
from shapleycam.experiments.results.styles import style_of

__all__ = ["curves", "metric_against_metric", "rank_diagram", "save"]


def metric_against_metric(
    summary: Summary,
    x: str,
    y: str,
    *,
    layer: str | None = None,
    utility: str | None = None,
    methods: Sequence[str] | None = None,
    over_models: bool = False,
) -> Figure:
    """Methods by two metrics, a panel a model; with `over_models` one panel of the means over models.

    `methods` are those shown, None for all: beside randomcam the others are often one spot.
    Bars are 95 % intervals: over images (bootstrap), or with `over_models` over the models (Student). A method has no
    point where either figure is undefined, or is not there for each of the models that a panel is of.

    Raises:
        OptionError: an unknown metric, layer or utility, or several to choose from.
    """
    columns = (summary.column(x), summary.column(y))
    setting = choose(summary.settings, layer, utility)
    here = summary.at(*setting)
    models = [group.model for group in here.groups]
    shown = [method for method in methods_of(here) if methods is None or method in methods]
    figure, axes = panels(1 if over_models else len(models), f"Layer {setting[0]}, utility {setting[1]}")
    for axis, chosen in zip(axes, [models] if over_models else [[model] for model in models], strict=True):
        label(axis, _title(chosen, over_models=over_models), columns[0].head, columns[1].head)
        for method in shown:
            spans = [_span(_cells(here, chosen, setting, method, column), column, len(chosen)) for column in columns]
            if np.isfinite([span[1] for span in spans]).all():
                _point(axis, method, *spans)
    legend(figure, axes)
    return figure


def _title(models: Sequence[str], *, over_models: bool) -> str:
    return f"mean over {len(models)} models" if over_models else models[0]


def _cells(
    summary: Summary, models: Sequence[str], setting: tuple[str, str], method: str, column: Column
) -> list[Cell]:
    found = (summary.by_key.get((model, *setting, method, column.name)) for model in models)
    return [cell for cell in found if cell is not None]


def _span(cells: Sequence[Cell], column: Column, models: int) -> tuple[float, float, float]:
    """Low, mean, high: of one cell its own, of several those of their mean; NaN where one is missing."""
    scale = 100 if column.percent else 1
    if len(cells) != models:
        return np.nan, np.nan, np.nan
    if models == 1:
        return scale * cells[0].low, scale * cells[0].mean, scale * cells[0].high
    mean, half = (scale * float(each[0]) for each in mean_and_half(np.array([[cell.mean] for cell in cells])))
    return mean - half, mean, mean + half


def _point(axis: Axes, method: str, across: tuple[float, float, float], up: tuple[float, float, float]) -> None:
    style = style_of(method)
    xerr, yerr = (np.nan_to_num(np.clip([[mean - low], [high - mean]], 0, None)) for low, mean, high in (across, up))
    axis.errorbar(across[1], up[1], yerr, xerr, ecolor=style.colour, elinewidth=0.8, fmt="none", alpha=0.45)
    axis.plot(
        across[1],
        up[1],
        linestyle="none",
        marker=style.marker,
        markersize=7,
        color=style.colour,
        markerfacecolor="none",
        markeredgewidth=1.3,
        label=method,
    )
