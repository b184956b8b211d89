"""Parts that several figures share: panels, labels, a legend, and `save`."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from pathlib import Path

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from shapleycam.errors import OptionError
from shapleycam.files import write_atomically
from shapleycam.names import canonical_name, nearest

DOTS_PER_INCH = 150
_SUFFIXES = ("png", "svg", "pdf")
_INCHES, _LEGEND_INCHES = 3.4, 1.7
_COLUMNS = 3
_MOST_IN_A_COLUMN = 20
"""Maximum number of names in a column of the legend, which has the height of one row of panels."""


def save(figure: Figure, path: Path) -> Path:
    """Write a figure as PNG, SVG or PDF, by the path's suffix, and return the path; the file is complete or absent.

    Raises:
        OptionError: the suffix is another one, or the folder cannot be written.
    """
    form = path.suffix.removeprefix(".").lower()
    if form not in _SUFFIXES:
        suffix = f".{form}" if form else "no suffix"
        raise OptionError(f"{path}: {suffix}, and figures are written as .png, .svg or .pdf; choose one of these")
    undated = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(form)
    return write_atomically(path, lambda file: figure.savefig(file, format=form, metadata=undated))


def make_panels(count: int, title: str, columns: int = _COLUMNS) -> tuple[Figure, list[Axes]]:
    """Return a figure with space for a legend, and its `count` panels in rows of at most `columns`."""
    columns = min(columns, count)
    rows = ceil(count / columns)
    size = (columns * _INCHES + _LEGEND_INCHES, max(rows * _INCHES, 3.8))
    figure = Figure(figsize=size, dpi=DOTS_PER_INCH, layout="constrained")
    figure.suptitle(title, fontsize=10, parse_math=False)
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axis in axes[count:]:
        axis.axis("off")
    return figure, axes[:count]


def label_axes(axis: Axes, title: str, x: str, y: str) -> None:
    """Set a panel's title and the labels of its axes, without TeX."""
    axis.set_title(title, fontsize=9, parse_math=False)
    axis.set_xlabel(x, fontsize=8, parse_math=False)
    axis.set_ylabel(y, fontsize=8, parse_math=False)
    axis.tick_params(labelsize=7)
    axis.grid(visible=True, color="0.92", linewidth=0.6)


def add_legend(figure: Figure, axes: Sequence[Axes]) -> None:
    """Add a legend for all panels, on the right of them."""
    artists: dict[str, Artist] = {}
    for axis in axes:
        handles, labels = axis.get_legend_handles_labels()
        artists |= dict(zip(labels, handles, strict=True))
    columns = ceil(len(artists) / _MOST_IN_A_COLUMN)
    figure.set_figwidth(figure.get_figwidth() + (columns - 1) * _LEGEND_INCHES)
    added = figure.legend(
        artists.values(),
        artists.keys(),
        loc="outside right center",
        fontsize=8,
        frameon=False,
        handlelength=3.2,
        ncols=columns,
    )
    for text in added.get_texts():
        text.set_parse_math(False)


def select_setting(settings: Sequence[tuple[str, str]], layer: str | None, utility: str | None) -> tuple[str, str]:
    """Return the layer and utility of a figure: the given names, or the only existing ones.

    Raises:
        OptionError: a name is unknown, or there are several layers or utilities and none is given.
    """
    for index, (kind, name) in enumerate((("layer", layer), ("utility", utility))):
        known = list(dict.fromkeys(setting[index] for setting in settings))
        known_name = name if name in {None, *known} else canonical_name(name, known)
        if name is not None and known_name is None:
            raise OptionError(f"{kind} {name!r} is not in these results; {nearest(name, known)}")
        settings = [setting for setting in settings if known_name in {None, setting[index]}]
    if len(settings) != 1:
        pairs = "; ".join(f"layer {a_layer}, utility {a_utility}" for a_layer, a_utility in settings)
        raise OptionError(f"a figure is of one layer and utility, and there are {pairs}; choose a layer and a utility")
    return settings[0]
