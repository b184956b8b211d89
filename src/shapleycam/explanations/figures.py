"""Figures of an explanation: a map with a title and a colour bar, as a picture or in matplotlib axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from PIL import Image

from shapleycam.drawing.colour_bars import (
    ColourBar,
    colours_over_grey,
    heatmap_bar,
    relative_values_bar,
    values_bar,
)
from shapleycam.drawing.figures import grid
from shapleycam.errors import OptionError
from shapleycam.explanations.drawn_map import DrawnMap, drawn_regions, largest_size, resolve_kind, sign_of
from shapleycam.explanations.pictures import overlay
from shapleycam.explanations.regions import UNSURE, RegionMap
from shapleycam.explanations.titles import class_title, figure_title, frame_note
from shapleycam.printable import printable_name, printable_text
from shapleycam.wording import number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from shapleycam.explanations.explanation import Explanation

_COLOURS = 256
"""Number of colours in the colour bar beside matplotlib axes."""


def figure(e: Explanation, drawn: DrawnMap, *, side_by_side: bool) -> Image.Image:
    """Return a map with a title and a colour bar; see `Explanation.figure`."""
    drawn = resolve_kind([e], drawn)
    picture = overlay(e, drawn)
    panels = [("", picture)]
    if side_by_side:
        panels = [photograph_panel(e, drawn), (map_title(e, drawn), picture)]
    title = figure_title(e.sources[drawn.index].name, [e], e.method, None, drawn.index)
    bars = [] if drawn.kind == "uncertain" else [map_bar([e], drawn)]
    return grid(panels, len(panels), title, bars, frame_note(e, picture.size, drawn.on, drawn.index))


def photograph_panel(e: Explanation, drawn: DrawnMap) -> tuple[str, Image.Image]:
    """Return the panel (title, picture) of the photograph without colours, to show beside its maps."""
    return "photograph", e.overlay(drawn.index, on=drawn.on, opacity=0, frame=drawn.frame)


def map_bar(explanations: Sequence[Explanation], drawn: DrawnMap) -> ColourBar:
    """Return the common colour bar for maps of one image; its caption says if the maps differ in range or unit."""
    first = explanations[0]
    drawn = resolve_kind(explanations, drawn)
    if drawn.kind == "heatmap":
        return heatmap_bar(drawn.style)
    units = {f"units of {e.utility_name}" if e.divides_score else "units of the method's own" for e in explanations}
    unit = units.pop() if len(units) == 1 else "units of the utility or of the method's own"
    regions = [drawn_regions(e, drawn) for e in explanations]
    players = {"place" if each is None else "region" for each in regions}
    caption = f"value of each {' or '.join(sorted(players))} for the class, in {unit}{describe_unsure(regions)}"
    if len(explanations) > 1:
        return relative_values_bar(caption, drawn.style)
    return values_bar(largest_size(first, drawn), caption, drawn.style)


def describe_unsure(regions: Sequence[RegionMap | None]) -> str:
    """Return the part of a caption that explains grey regions, whose sign is not certain; "" if there are none."""
    counts = [(each.count_unsure, each.count) for each in regions if each is not None and each.count_unsure]
    if not counts:
        return ""
    unsure, total = counts[0]
    which = f" ({unsure} of {total})" if len(regions) == 1 else ""
    return f"; grey: not sure, nearer to zero than {number(UNSURE)} standard errors{which}"


def plot(e: Explanation, ax: Axes | None, drawn: DrawnMap, *, colour_bar: bool) -> Axes:
    """Draw a map into matplotlib axes; see `Explanation.plot`."""
    drawn = resolve_kind([e], drawn)
    picture = overlay(e, drawn)
    axes = _new_axes() if ax is None else _check_axes(ax)
    axes.imshow(picture)
    axes.set_axis_off()
    name, title = printable_name(e.sources[drawn.index].name), printable_text(class_title(e, drawn.index))
    axes.set_title(f"{name}\n{title}\n{e.method}", fontsize="medium", parse_math=False)
    if colour_bar and drawn.kind != "uncertain":
        _draw_bar(axes, map_bar([e], drawn), largest_size(e, drawn))
    return axes


def _draw_bar(axes: Axes, bar: ColourBar, largest: float) -> None:
    """Draw a colour bar beside axes, with the map's numbers and unit."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import ListedColormap, Normalize
    from matplotlib.ticker import FuncFormatter

    low, high = (0.0, 1.0) if bar.scale == "heatmap" else (-largest, largest)
    colours = ListedColormap(colours_over_grey(bar.scale, _COLOURS, style=bar.style))
    beside = axes.figure.colorbar(
        ScalarMappable(Normalize(low, high), colours),
        ax=axes,
        fraction=0.046,  # of the axes' width, so that the bar is about as high as the picture
        pad=0.04,
        format=FuncFormatter(lambda value, _: number(value)),
    )
    beside.set_label(bar.caption, wrap=True, parse_math=False)


def _new_axes() -> Axes:
    """Return the axes of a new pyplot figure, which a notebook shows."""
    from matplotlib import pyplot as plt  # here, because it takes half a second, and not every explanation is plotted

    _, axes = plt.subplots(layout="constrained")
    return axes


def _check_axes(ax: object) -> Axes:
    """Return matplotlib axes; refuse anything else, and axes that were removed from their figure."""
    from matplotlib.axes import Axes

    if not isinstance(ax, Axes) or ax.figure is None:
        raise OptionError(f"ax is a {type(ax).__name__}; expected the axes of one plot, or None for a new figure")
    return ax


def map_title(e: Explanation, drawn: DrawnMap) -> str:
    """Return the title of a map that is shown beside its photograph."""
    drawn = resolve_kind([e], drawn)
    if drawn.kind == "uncertain":
        return f"grey: nearer to zero than {number(UNSURE)} standard errors"
    if drawn.kind == "heatmap":
        is_positive = sign_of("heatmap", drawn.style) == "positive"
        return "heatmap" if is_positive else "heatmap of what speaks against the class"
    sign = sign_of("values", drawn.style)
    what = "signed values" if sign == "both" else f"{sign} values"
    return what if drawn_regions(e, drawn) is None else f"{what} of regions"
