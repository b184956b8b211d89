"""The critical-difference diagram: mean ranks over networks, and which methods do not differ (Demšar 2006)."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from shapleycam.cams.table import METHODS
from shapleycam.experiments.results.cells import Summary, in_order
from shapleycam.experiments.results.panels import DOTS, choose
from shapleycam.experiments.results.ranks import Ranking, cliques, ranking
from shapleycam.experiments.results.statistics import Array

_STEP = 0.5
"""Height between two names, in units of the axis."""


def rank_diagram(summary: Summary, metric: str, *, layer: str | None = None, utility: str | None = None) -> Figure:
    """Mean ranks over networks, rank 1 the best; bars join methods that Nemenyi's test does not tell apart at 5 %.

    Methods without a figure on some network are left out, and named.

    Raises:
        OptionError: fewer than two networks or three methods; an unknown or ambiguous metric, layer or utility.
    """
    column = summary.column(metric)
    here = summary.at(*choose(summary.settings, layer, utility))
    methods, figures = _figures(here, metric)
    complete = np.flatnonzero(np.isfinite(figures).all(axis=0))
    found = ranking(figures[:, complete], column.better)
    names = [methods[place] for place in complete]
    missing = [name for name in methods if name not in names]
    title = (
        f"{column.title}: mean ranks over {len(figures)} networks, layer {here.settings[0][0]}, utility "
        f"{here.settings[0][1]}\nFriedman p = {found.p:.2g}"
        + (f"; without a figure on every network: {', '.join(missing)}" if missing else "")
    )
    return _drawn(names, found, title)


def methods_of(summary: Summary) -> list[str]:
    """The methods, in the order of tables."""
    return in_order({cell.method for cell in summary.cells}, METHODS)


def _figures(summary: Summary, metric: str) -> tuple[list[str], Array]:
    """The methods, and their means (networks, methods), NaN where there is none."""
    methods = methods_of(summary)
    cells = {(cell.model, cell.method): cell.mean for cell in summary.cells if cell.metric == metric}
    models = [group.model for group in summary.groups]
    return methods, np.array([[cells.get((model, method), np.nan) for method in methods] for model in models])


def _drawn(names: list[str], found: Ranking, title: str) -> Figure:
    most = len(names)
    bars = cliques(found.rank, found.critical)
    below = 0.5 + 0.22 * len(bars)
    rows = (most + 1) // 2
    deep = below + rows * _STEP
    figure = Figure(figsize=(8.0, 0.62 * (deep + 2.2)), dpi=DOTS, layout="constrained")
    axis = figure.subplots()
    axis.axis("off")
    axis.set_title(title, fontsize=9, parse_math=False)
    room = 0.35 * (most - 1)
    axis.set_xlim(1 - room, most + room)
    axis.set_ylim(-deep, 1.9)
    _scale(axis, most, found.critical)
    for place, number in enumerate(np.argsort(found.rank, kind="stable")):
        left = place < rows
        depth = below + _STEP * (place if left else most - 1 - place)
        _name(axis, names[number], float(found.rank[number]), depth, 1 - 0.05 * room if left else most + 0.05 * room)
    for place, (first, last) in enumerate(bars):
        height = -0.28 - 0.22 * place
        axis.plot([first - 0.02, last + 0.02], [height, height], color="#D55E00", linewidth=3.5, solid_capstyle="round")
    return figure


def _scale(axis: Axes, most: int, critical: float) -> None:
    """Ranks from 1, and above them the critical difference as a length."""
    axis.plot([1, most], [0, 0], color="black", linewidth=1)
    for rank in range(1, most + 1):
        axis.plot([rank, rank], [0, 0.15], color="black", linewidth=1)
        axis.text(rank, 0.25, str(rank), ha="center", va="bottom", fontsize=8)
    end = min(1 + critical, most + 0.3 * (most - 1))
    axis.plot([1, 1, 1, end, end, end], [1.05, 1.25, 1.15, 1.15, 1.25, 1.05], color="black", linewidth=1)
    axis.text((1 + end) / 2, 1.3, f"critical difference {critical:.2f}", ha="center", va="bottom", fontsize=8)


def _name(axis: Axes, name: str, rank: float, depth: float, edge: float) -> None:
    """A method's name at the side, with a line to its rank."""
    axis.plot([rank, rank, edge], [0, -depth, -depth], color="0.35", linewidth=0.8)
    side = "right" if edge <= 1 else "left"
    text = f"{name} {rank:.2f} " if side == "right" else f" {rank:.2f} {name}"
    axis.text(edge, -depth, text, ha=side, va="center", fontsize=8, parse_math=False)
