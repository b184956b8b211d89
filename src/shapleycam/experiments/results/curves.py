"""`curves`: plots the mean insertion and deletion curves of methods."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from shapleycam.errors import OptionError
from shapleycam.experiments.results.cells import sort_by_table
from shapleycam.experiments.results.mean_curves import MeanCurve
from shapleycam.experiments.results.panels import add_legend, label_axes, make_panels, select_setting
from shapleycam.experiments.results.styles import style_of
from shapleycam.models.paper_networks import NETWORKS

_CURVES = {"insertion_curve": ("insertion", "pixels added %"), "deletion_curve": ("deletion", "pixels removed %")}


def curves(means: Sequence[MeanCurve], *, layer: str | None = None, utility: str | None = None) -> Figure:
    """Return a figure of the mean curves over images of each method, with each point's 95% interval (Student).

    A curve is the probability of the class from the first step to the last. There is a panel for each model and each of
    insertion and deletion.

    Raises:
        OptionError: there are no curves; there are several layers or utilities to choose from; or the curves of a
            method have different lengths.
    """
    if not means:
        raise OptionError(
            "the results have no insertion or deletion curves; evaluate with the metric insertion or deletion"
        )
    settings = sorted({(mean.layer, mean.utility) for mean in means})
    setting = select_setting(settings, layer, utility)
    drawn = [mean for mean in means if (mean.layer, mean.utility) == setting]
    names = [name for name in _CURVES if any(mean.curve == name for mean in drawn)]
    models = sort_by_table((mean.model for mean in drawn), NETWORKS)
    title = f"Layer {setting[0]}, utility {setting[1]}"
    figure, axes = make_panels(len(models) * len(names), title, columns=len(names))
    for axis, (model, name) in zip(axes, [(model, name) for model in models for name in names], strict=True):
        curve, x_label = _CURVES[name]
        label_axes(axis, f"{model}, {curve}", x_label, "probability")
        by_method = [mean for mean in drawn if (mean.model, mean.curve) == (model, name)]
        for mean_curve in by_method:
            _draw(axis, mean_curve)
    add_legend(figure, axes)
    return figure


def _draw(axis: Axes, curve: MeanCurve) -> None:
    if len(curve.lengths) > 1:
        raise OptionError(
            f"{_CURVES[curve.curve][0]} of {curve.method} on {curve.model}: curves of {curve.lengths[0]} to "
            f"{curve.lengths[-1]} points; expected one length: evaluate images of one size"
        )
    if not curve.mean.size:
        return
    style = style_of(curve.method)
    steps = np.linspace(0, 100, len(curve.mean))
    axis.plot(
        steps,
        curve.mean,
        color=style.colour,
        linestyle=style.dashes,
        linewidth=1.3,
        marker=style.marker,
        markersize=4.5,
        markerfacecolor="none",
        markevery=max(1, len(curve.mean) // 6),
        label=curve.method,
    )
    axis.fill_between(
        steps, curve.mean - curve.half, curve.mean + curve.half, color=style.colour, alpha=0.12, linewidth=0
    )
