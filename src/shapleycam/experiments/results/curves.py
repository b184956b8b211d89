"""Insertion and deletion curves of an evaluation's methods."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from shapleycam.cams.table import METHODS
from shapleycam.errors import OptionError
from shapleycam.experiments.results.cells import in_order
from shapleycam.experiments.results.panels import choose, label, legend, mean_and_half, panels
from shapleycam.experiments.results.statistics import Array
from shapleycam.experiments.results.styles import style_of
from shapleycam.models import paper

_CURVES = {"insertion_curve": ("insertion", "pixels added %"), "deletion_curve": ("deletion", "pixels removed %")}


def curves(rows: pl.DataFrame, *, layer: str | None = None, utility: str | None = None) -> Figure:
    """Insertion and deletion curves, mean over images by method, with the 95 % interval of each point (Student).

    `rows` are an evaluation's, with a column insertion_curve or deletion_curve or both: the probability of the class
    from the first step to the last. A panel is of one model and curve.

    Raises:
        OptionError: no curves in the rows, several layers or utilities to choose from, or curves of unlike lengths.
    """
    good = rows.filter(pl.col("status") == "ok")
    names = [name for name in _CURVES if name in rows.columns and good[name].count()]
    if not names:
        raise OptionError(
            "the results have no insertion or deletion curves; evaluate with --metric insertion (deletion)"
        )
    settings = sorted(good.select("layer", "utility").unique().iter_rows())
    here = choose(settings, layer, utility)
    good = good.filter((pl.col("layer") == here[0]) & (pl.col("utility") == here[1]))
    models = in_order(good["model"].unique(), paper.NETWORKS)
    title = f"Layer {here[0]}, utility {here[1]}"
    figure, axes = panels(len(models) * len(names), title, columns=len(names))
    for axis, (model, name) in zip(axes, [(model, name) for model in models for name in names], strict=True):
        what, across = _CURVES[name]
        label(axis, f"{model}, {what}", across, "probability")
        own = good.filter((pl.col("model") == model) & pl.col(name).is_not_null())
        for method in in_order(own["method"].unique(), METHODS):
            _draw(axis, method, _matrix(own.filter(method=method)[name], f"{what} of {method} on {model}"))
    legend(figure, axes)
    return figure


def _matrix(column: pl.Series, what: str) -> Array:
    """Curves of one length (images, points), those with gaps left out."""
    column = column.cast(pl.List(pl.Float64))
    lengths: list[Any] = column.list.len().unique().sort().to_list()
    if len(lengths) != 1:
        raise OptionError(
            f"{what}: curves of {lengths[0]} to {lengths[-1]} points; expected one length: evaluate images of one size"
        )
    values = column.list.to_array(lengths[0]).to_numpy()
    found: Array = values[np.isfinite(values).all(1)]
    return found


def _draw(axis: Axes, method: str, values: Array) -> None:
    if not len(values):
        return
    style = style_of(method)
    mean, half = mean_and_half(values)
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
