"""Insertion and deletion curves of an evaluation's methods."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from shapleycam.cams.names import METHOD_NAMES
from shapleycam.errors import OptionError
from shapleycam.experiments.results.cells import sort_by_table
from shapleycam.experiments.results.panels import (
    add_legend,
    label_axes,
    make_panels,
    mean_and_half_width,
    select_setting,
)
from shapleycam.experiments.results.statistics import Array
from shapleycam.experiments.results.styles import style_of
from shapleycam.models.paper_networks import NETWORKS

_CURVES = {"insertion_curve": ("insertion", "pixels added %"), "deletion_curve": ("deletion", "pixels removed %")}


def curves(rows: pl.DataFrame, *, layer: str | None = None, utility: str | None = None) -> Figure:
    """Plot insertion and deletion curves: the mean over images by method, with each point's 95 % interval (Student).

    `rows` are an evaluation's, with a column insertion_curve or deletion_curve or both: the probability of the class
    from the first step to the last. A panel is of one model and curve.

    Raises:
        OptionError: no curves in the rows, several layers or utilities to choose from, or curves of unlike lengths.
    """
    good = rows.filter(pl.col("status") == "ok")
    names = [name for name in _CURVES if name in rows.columns and good[name].count()]
    if not names:
        raise OptionError(
            "the results have no insertion or deletion curves; evaluate with the metric insertion or deletion"
        )
    settings = sorted(good.select("layer", "utility").unique().iter_rows())
    layer, utility = select_setting(settings, layer, utility)
    good = good.filter((pl.col("layer") == layer) & (pl.col("utility") == utility))
    models = sort_by_table(good["model"].unique(), NETWORKS)
    title = f"Layer {layer}, utility {utility}"
    figure, axes = make_panels(len(models) * len(names), title, columns=len(names))
    for axis, (model, name) in zip(axes, [(model, name) for model in models for name in names], strict=True):
        curve, x_label = _CURVES[name]
        label_axes(axis, f"{model}, {curve}", x_label, "probability")
        rows_with_curve = good.filter((pl.col("model") == model) & pl.col(name).is_not_null())
        for method in sort_by_table(rows_with_curve["method"].unique(), METHOD_NAMES):
            column = rows_with_curve.filter(method=method)[name]
            _draw(axis, method, _matrix(column, f"{curve} of {method} on {model}"))
    add_legend(figure, axes)
    return figure


def _matrix(column: pl.Series, title: str) -> Array:
    """Return curves of one length (images, points), without those that have gaps."""
    column = column.cast(pl.List(pl.Float64))
    lengths: list[Any] = column.list.len().unique().sort().to_list()
    if len(lengths) != 1:
        raise OptionError(
            f"{title}: curves of {lengths[0]} to {lengths[-1]} points; expected one length: evaluate images of one size"
        )
    values = column.list.to_array(lengths[0]).to_numpy()
    complete: Array = values[np.isfinite(values).all(1)]
    return complete


def _draw(axis: Axes, method: str, values: Array) -> None:
    if not len(values):
        return
    style = style_of(method)
    mean, half = mean_and_half_width(values)
    steps = np.linspace(0, 100, len(mean))
    axis.plot(
        steps,
        mean,
        color=style.colour,
        linestyle=style.dashes,
        linewidth=1.3,
        marker=style.marker,
        markersize=4.5,
        markerfacecolor="none",
        markevery=max(1, len(mean) // 6),
        label=method,
    )
    axis.fill_between(steps, mean - half, mean + half, color=style.colour, alpha=0.12, linewidth=0)
