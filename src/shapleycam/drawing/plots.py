"""Figures drawn by matplotlib: estimated values against true ones, and interactions between pairs of places."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from math import ceil
from textwrap import wrap
from typing import TYPE_CHECKING, Literal, TypeAlias

from PIL import Image

from shapleycam.printable import printable_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_INCHES, _DOTS = 2.6, 110
_LETTERS, _LINE_INCHES = 38, 0.17
"""Characters per line of a title above one column of panels, and the height of a line in inches."""

Panel: TypeAlias = "tuple[str, Sequence[float], Sequence[float]]"
Place: TypeAlias = tuple[float, float]


def scatter(panels: Sequence[Panel], columns: int = 4, title: str = "") -> Image.Image:
    """Return a figure of values against true values; a line shows where they are equal.

    Args:
        panels: (title, true values, values) of each panel.
        columns: the largest number of panels in a row.
        title: the figure's title, wrapped to its width.

    Examples:
        >>> from shapleycam.drawing import scatter
        >>> scatter([("gradcam", [0.0, 1.0], [0.1, 0.9])]).mode
        'RGB'
    """
    columns = min(columns, len(panels)) or 1
    rows = ceil(len(panels) / columns) or 1
    lines = wrap(printable_text(title), columns * _LETTERS)
    figure = new_figure(columns * _INCHES, rows * _INCHES + len(lines) * _LINE_INCHES, layout="constrained")
    if lines:
        figure.suptitle("\n".join(lines), fontsize=9, parse_math=False)
    axes = figure.subplots(rows, columns, squeeze=False)
    for axis in axes.flat[len(panels) :]:
        axis.axis("off")
    for axis, (name, true, values) in zip(axes.flat, panels, strict=False):
        axis.axline((0, 0), slope=1, color="0.6", linewidth=0.8)
        axis.scatter(true, values, s=4, alpha=0.5, linewidths=0)
        axis.set_title(name, fontsize=9, parse_math=False)
        axis.tick_params(labelsize=7)
    figure.supxlabel("true Shapley value of a place, in units of the utility", fontsize=9)
    figure.supylabel("by the method", fontsize=9)
    return render(figure)


def pairs(
    picture: Image.Image, layout: tuple[int, int], strongest: Sequence[tuple[Place, Place, float]]
) -> Image.Image:
    """Return a picture with a line for each pair of places, red for positive interaction and blue for negative.

    A line's width shows the absolute interaction, relative to the largest.

    Args:
        picture: the picture below the lines.
        layout: (rows, columns) of the layer's grid.
        strongest: (place, place, interaction) of each pair; a place is (row, column), in cells from the upper left.

    Examples:
        >>> from PIL import Image
        >>> from shapleycam.drawing import pairs
        >>> pairs(Image.new("RGB", (40, 40)), (2, 2), [((0.5, 0.5), (1.5, 1.5), 0.3)]).mode
        'RGB'
    """
    rows, columns = layout
    largest = max((abs(size) for _, _, size in strongest), default=1.0) or 1.0
    figure = new_figure(2 * _INCHES, 2 * _INCHES * picture.height / picture.width)
    axis = figure.add_axes((0, 0, 1, 1))
    axis.axis("off")
    axis.imshow(picture, extent=(0, columns, rows, 0), aspect="auto")
    for first, second, size in reversed(strongest):
        colour = "#d7191c" if size > 0 else "#2c7bb6"
        down, across = zip(first, second, strict=True)
        axis.plot(across, down, color="white", linewidth=2 + 5 * abs(size) / largest, alpha=0.8)
        axis.plot(across, down, color=colour, linewidth=1 + 4 * abs(size) / largest, marker="o", markersize=4)
    axis.set_xlim(0, columns)
    axis.set_ylim(rows, 0)
    return render(figure)


def new_figure(width: float, height: float, layout: Literal["constrained"] | None = None) -> Figure:
    """Return an empty figure of `width` x `height` inches."""
    from matplotlib.figure import Figure  # here, because it takes half a second, and not every explanation is plotted

    return Figure(figsize=(width, height), dpi=_DOTS, layout=layout)


def render(figure: Figure) -> Image.Image:
    """Return a matplotlib figure as a picture."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    buffer = BytesIO()
    FigureCanvasAgg(figure).print_png(buffer)
    return Image.open(buffer).convert("RGB")
