"""Figures of an evaluation: metric against metric (defined here), ranks over networks, and curves."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from shapleycam.experiments.results.cells import Cell, ResultsSummary
from shapleycam.experiments.results.columns import Column
from shapleycam.experiments.results.curves import curves
from shapleycam.experiments.results.diagram import methods_in, rank_diagram
from shapleycam.experiments.results.mean_curves import mean_and_half_width
from shapleycam.experiments.results.panels import (
    add_legend,
    label_axes,
    make_panels,
    save,
    select_setting,
)
from shapleycam.experiments.results.styles import style_of

__all__ = ["curves", "metric_against_metric", "rank_diagram", "save"]


def metric_against_metric(
    summary: ResultsSummary,
    x: str,
    y: str,
    *,
    layer: str | None = None,
    utility: str | None = None,
    methods: Sequence[str] | None = None,
    over_models: bool = False,
) -> Figure:
    """Return a figure with a point for each method, by two metrics, in a panel for each model.

    With `over_models`, there is one panel with means over the models. `methods` are the methods to show; None for all.
    Bars are 95% intervals over images (bootstrap), or with `over_models` over models (Student). A method has no point
    if one of its figures is undefined, or is missing for a model of the panel.

    Raises:
        OptionError: a metric, layer or utility is unknown, or there are several to choose from.
    """
    columns = (summary.column(x), summary.column(y))
    setting = select_setting(summary.settings, layer, utility)
    results = summary.at(*setting)
    models = [group.model for group in results.groups]
    shown = [method for method in methods_in(results) if methods is None or method in methods]
    figure, axes = make_panels(1 if over_models else len(models), f"Layer {setting[0]}, utility {setting[1]}")
    for axis, panel_models in zip(axes, [models] if over_models else [[model] for model in models], strict=True):
        label_axes(axis, _title(panel_models, over_models=over_models), columns[0].head, columns[1].head)
        for method in shown:
            cells = [_cells(results, panel_models, setting, method, column) for column in columns]
            spans = [_interval(*pair, len(panel_models)) for pair in zip(cells, columns, strict=True)]
            if np.isfinite([span[1] for span in spans]).all():
                _point(axis, method, *spans)
    add_legend(figure, axes)
    return figure


def _title(models: Sequence[str], *, over_models: bool) -> str:
    return f"mean over {len(models)} models" if over_models else models[0]


def _cells(
    summary: ResultsSummary, models: Sequence[str], setting: tuple[str, str], method: str, column: Column
) -> list[Cell]:
    cells = (summary.by_key.get((model, *setting, method, column.name)) for model in models)
    return [cell for cell in cells if cell is not None]


def _interval(cells: Sequence[Cell], column: Column, models: int) -> tuple[float, float, float]:
    """Return (low, mean, high) of the only cell, or of the mean of several cells; NaN if a model's cell is missing."""
    scale = 100 if column.percent else 1
    if len(cells) != models:
        return np.nan, np.nan, np.nan
    if models == 1:
        return scale * cells[0].low, scale * cells[0].mean, scale * cells[0].high
    mean, half = (
        scale * float(column_value[0])
        for column_value in mean_and_half_width(np.array([[cell.mean] for cell in cells]))
    )
    return mean - half, mean, mean + half


def _point(axis: Axes, method: str, x: tuple[float, float, float], y: tuple[float, float, float]) -> None:
    """Draw a method at its means, with bars from low to high."""
    style = style_of(method)
    xerr, yerr = (np.nan_to_num(np.clip([[mean - low], [high - mean]], 0, None)) for low, mean, high in (x, y))
    axis.errorbar(x[1], y[1], yerr, xerr, ecolor=style.colour, elinewidth=0.8, fmt="none", alpha=0.45)
    axis.plot(
        x[1],
        y[1],
        linestyle="none",
        marker=style.marker,
        markersize=7,
        color=style.colour,
        markerfacecolor="none",
        markeredgewidth=1.3,
        label=method,
    )
