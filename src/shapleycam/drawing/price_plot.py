"""A figure of correlation by price: one line for each kind of values, with a point for each layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import wrap
from typing import NamedTuple

from PIL import Image

from shapleycam.drawing.plots import new_figure, render
from shapleycam.printable import printable_text

_WIDTH, _HEIGHT = 6.0, 4.0
_LETTERS, _LINE_INCHES = 90, 0.17
"""Characters per line of the title, and the height of a line in inches."""


class PricedPoint(NamedTuple):
    """A point of the figure.

    Attributes:
        name: the text beside the point, such as a layer's name.
        price: the price in plain forward passes, above 0.
        height: the correlation.
        half: half the width of the correlation's interval; 0 for no interval.

    Examples:
        >>> from shapleycam.drawing.price_plot import PricedPoint
        >>> PricedPoint("bn2", 1.1, 0.7, 0.05).name
        'bn2'
    """

    name: str
    price: float
    height: float
    half: float = 0.0


def price_plot(series: Mapping[str, Sequence[PricedPoint]], title: str = "") -> Image.Image:
    """Return a figure of correlations with the input's values, with intervals, over a logarithmic axis of prices.

    Args:
        series: the points of each line, by the line's name.
        title: the figure's title, wrapped to its width.

    Examples:
        >>> from shapleycam.drawing.price_plot import PricedPoint, price_plot
        >>> price_plot({"hirescam": [PricedPoint("bn2", 1.1, 0.7, 0.05), PricedPoint("blocks.4", 1.3, 0.8)]}).mode
        'RGB'
    """
    lines = wrap(printable_text(title), _LETTERS)
    figure = new_figure(_WIDTH, _HEIGHT + len(lines) * _LINE_INCHES, layout="constrained")
    if lines:
        figure.suptitle("\n".join(lines), fontsize=9, parse_math=False)
    axis = figure.subplots()
    for name, points in series.items():
        prices, heights = [point.price for point in points], [point.height for point in points]
        halves = [point.half for point in points]
        axis.errorbar(prices, heights, yerr=halves, marker="o", markersize=4, linewidth=0.8, capsize=3, label=name)
        for point in points:
            label = printable_text(point.name)
            axis.annotate(
                label, (point.price, point.height), (4, 4), textcoords="offset points", fontsize=7, parse_math=False
            )
    axis.set_xscale("log")
    axis.set_xlabel("price, in plain forward passes", fontsize=9)
    axis.set_ylabel("correlation with the input's values", fontsize=9)
    axis.tick_params(labelsize=7)
    axis.grid(alpha=0.3)
    if series:
        axis.legend(fontsize=8)
    return render(figure)
