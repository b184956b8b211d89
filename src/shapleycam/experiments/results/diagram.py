"""`rank_diagram`: the critical-difference diagram of mean ranks over networks (Demšar 2006).

This is our own code because the packages that also draw it (scikit-posthocs, Orange) depend on pandas.
"""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from shapleycam.experiments.results.cells import ResultsSummary
from shapleycam.experiments.results.panels import DOTS_PER_INCH, select_setting
from shapleycam.experiments.results.ranks import NetworkRanks, cliques, rank_over_networks
from shapleycam.experiments.results.statistics import Array

_STEP = 0.5
"""Vertical distance between two names, in units of the axis."""


def rank_diagram(
    summary: ResultsSummary, metric: str, *, layer: str | None = None, utility: str | None = None
) -> Figure:
    """Return a diagram of mean ranks over networks; rank 1 is the best.

    Bars join methods that Nemenyi's test does not separate at 5%. Methods that lack a figure on some network are
    omitted, and the title names them.

    Raises:
        OptionError: there are fewer than two networks or three methods; or a metric, layer or utility is unknown or
            ambiguous.
    """
    column = summary.column(metric)
    results = summary.at(*select_setting(summary.settings, layer, utility))
    methods, figures = _figures(results, metric)
    complete = np.flatnonzero(np.isfinite(figures).all(axis=0))
    ranking = rank_over_networks(figures[:, complete], column.better)
    names = [methods[index] for index in complete]
    missing = [name for name in methods if name not in names]
    title = (
        f"{column.title}: mean ranks over {len(figures)} networks, layer {results.settings[0][0]}, utility "
        f"{results.settings[0][1]}\nFriedman p = {ranking.p:.2g}"
        + (f"; without a figure on every network: {', '.join(missing)}" if missing else "")
    )
    return _draw(names, ranking, title)


def methods_in(summary: ResultsSummary) -> list[str]:
    """Return the methods, in the order of the summary."""
    return list(dict.fromkeys(cell.method for cell in summary.cells))


def _figures(summary: ResultsSummary, metric: str) -> tuple[list[str], Array]:
    """Return the methods, and their means (networks, methods); NaN where there is no mean."""
    methods = methods_in(summary)
    cells = {(cell.model, cell.method): cell.mean for cell in summary.cells if cell.metric == metric}
    models = [group.model for group in summary.groups]
    return methods, np.array([[cells.get((model, method), np.nan) for method in methods] for model in models])


def _draw(names: list[str], ranking: NetworkRanks, title: str) -> Figure:
    """Return a figure with the scale, the names on both sides with lines to their ranks, and the bars."""
    count = len(names)
    bars = cliques(ranking.rank, ranking.critical)
    first_depth = 0.5 + 0.22 * len(bars)
    rows = (count + 1) // 2
    depth = first_depth + rows * _STEP
    figure = Figure(figsize=(8.0, 0.62 * (depth + 2.2)), dpi=DOTS_PER_INCH, layout="constrained")
    axis = figure.subplots()
    axis.axis("off")
    axis.set_title(title, fontsize=9, parse_math=False)
    margin = 0.35 * (count - 1)
    axis.set_xlim(1 - margin, count + margin)
    axis.set_ylim(-depth, 1.9)
    _draw_scale(axis, count, ranking.critical)
    for position, index in enumerate(np.argsort(ranking.rank, kind="stable")):
        left = position < rows
        name_depth = first_depth + _STEP * (position if left else count - 1 - position)
        edge = 1 - 0.05 * margin if left else count + 0.05 * margin
        _draw_name(axis, names[index], float(ranking.rank[index]), name_depth, edge)
    for position, (first, last) in enumerate(bars):
        height = -0.28 - 0.22 * position
        axis.plot([first - 0.02, last + 0.02], [height, height], color="#D55E00", linewidth=3.5, solid_capstyle="round")
    return figure


def _draw_scale(axis: Axes, count: int, critical: float) -> None:
    """Draw the axis of ranks, and above it the critical difference as a length."""
    axis.plot([1, count], [0, 0], color="black", linewidth=1)
    for rank in range(1, count + 1):
        axis.plot([rank, rank], [0, 0.15], color="black", linewidth=1)
        axis.text(rank, 0.25, str(rank), ha="center", va="bottom", fontsize=8)
    end = min(1 + critical, count + 0.3 * (count - 1))
    axis.plot([1, 1, 1, end, end, end], [1.05, 1.25, 1.15, 1.15, 1.25, 1.05], color="black", linewidth=1)
    axis.text((1 + end) / 2, 1.3, f"critical difference {critical:.2f}", ha="center", va="bottom", fontsize=8)


def _draw_name(axis: Axes, name: str, rank: float, depth: float, edge: float) -> None:
    """Draw a method's name at the side, with a line to its rank."""
    axis.plot([rank, rank, edge], [0, -depth, -depth], color="0.35", linewidth=0.8)
    side = "right" if edge <= 1 else "left"
    text = f"{name} {rank:.2f} " if side == "right" else f" {rank:.2f} {name}"
    axis.text(edge, -depth, text, ha=side, va="center", fontsize=8, parse_math=False)
