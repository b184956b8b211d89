"""`lead_figures`: plots of the leads of one method over another.

Rows are networks, the horizontal axis is the lead with its interval, colours are utilities, panels are layers.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from math import isfinite

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from shapleycam.experiments.results.available_figures import FigureSpec
from shapleycam.experiments.results.columns import Column
from shapleycam.experiments.results.lead_tables import LeadTables
from shapleycam.experiments.results.leads import MethodLead
from shapleycam.experiments.results.panels import add_legend, label_axes, make_panels

_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#AA4499", "#777777", "#000000")
"""Colours of utilities, which colour-blind readers can distinguish."""
_ROW_INCHES = 0.35


def lead_figures(tables: LeadTables) -> Iterator[FigureSpec]:
    """Yield a figure for each metric."""
    first, second = tables.pair
    for column in tables.columns:
        yield FigureSpec(
            f"lead_{first}_{second}_{column.name}",
            f"Lead of {first} over {second} in {column.title}",
            f"How far {first} is better than {second} on each network, by layer and utility, with 95% intervals",
            partial(lead_figure, tables, column),
        )


def lead_figure(tables: LeadTables, column: Column) -> Figure:
    """Return a figure of the leads by one metric; published leads are hollow diamonds."""
    leads = [lead for lead in tables.leads if lead.metric == column.name]
    layers = list(dict.fromkeys(lead.group.layer for lead in leads))
    models = list(dict.fromkeys(lead.group.model for lead in leads))
    utilities = list(dict.fromkeys(lead.group.utility for lead in leads))
    figure, axes = make_panels(len(layers), f"{column.title}: lead of {tables.pair[0]} over {tables.pair[1]}")
    figure.set_figheight(max(figure.get_figheight(), 1.5 + _ROW_INCHES * len(models)))
    for axis, layer in zip(axes, layers, strict=True):
        label_axes(axis, f"layer {layer}", f"{column.title} better by{' %' * column.percent}", "")
        axis.axvline(0, color="0.5", linewidth=0.8)
        axis.set_yticks(range(len(models)), models, parse_math=False)
        axis.set_ylim(len(models) - 0.5, -0.5)
        for lead in (lead for lead in leads if lead.group.layer == layer):
            index = utilities.index(lead.group.utility)
            height = models.index(lead.group.model) + 0.6 * ((index + 0.5) / len(utilities) - 0.5)
            _draw(axis, lead, height, _COLOURS[index % len(_COLOURS)], column, tables.published_points(lead))
    add_legend(figure, axes)
    return figure


def _draw(axis: Axes, lead: MethodLead, height: float, colour: str, column: Column, published: float | None) -> None:
    scale, utility = 100 if column.percent else 1, lead.group.utility
    if isfinite(lead.mean):
        axis.plot(scale * lead.mean, height, "o", color=colour, markersize=4, label=utility)
    if isfinite(lead.low):
        axis.plot([scale * lead.low, scale * lead.high], [height, height], color=colour, linewidth=1.2)
    if published is not None:
        axis.plot(
            published, height, "D", color=colour, markersize=5, markerfacecolor="none", label=f"{utility}, published"
        )
