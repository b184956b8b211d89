"""The numbers that a map of one image shows: of which kind, which places and which frame. Nothing is drawn here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from numbers import Real
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from shapleycam.cams.heatmaps import heatmap as heatmap_of
from shapleycam.cams.heatmaps import resize
from shapleycam.drawing.map_style import DEFAULT_STYLE, MapStyle, Sign
from shapleycam.drawing.overlays import ColourScale, Kind
from shapleycam.errors import OptionError
from shapleycam.explanations.regions import RegionMap, region_map
from shapleycam.models.layout import spatial_size

if TYPE_CHECKING:
    from shapleycam.explanations.explanation import Explanation

Ground: TypeAlias = 'Literal["photo", "input"] | None'
"""What a map is drawn over; None for the photograph if it still exists, else the network's input."""


@dataclass(frozen=True)
class DrawnMap:
    """The choices for drawing a map of one image; `Explanation.overlay` explains the fields."""

    index: int = 0
    on: Ground = None
    kind: Kind | None = None
    opacity: float = 0.75
    frame: int | None = None
    style: MapStyle = DEFAULT_STYLE

    @property
    def colour_scale(self) -> ColourScale:
        """Return which numbers the colours show: heat, or signed values."""
        return "heatmap" if self.kind == "heatmap" else "values"

    @property
    def sign(self) -> Sign:
        """Return the sign of the values that the map shows."""
        return self.style.sign or ("positive" if self.kind == "heatmap" else "both")

    @property
    def chosen_sign(self) -> Sign | None:
        """Return the sign to state in a file name: None for positive values, or if no kind of map was chosen."""
        return None if self.kind is None or self.sign == "positive" else self.sign


def resolve_kind(explanations: Sequence[Explanation], drawn: DrawnMap) -> DrawnMap:
    """Return the choices with a kind: if none was given, "values" if all maps are of regions, else "heatmap"."""
    if drawn.kind is not None:
        return drawn
    as_values = replace(drawn, kind="values")
    are_of_regions = all(drawn_regions(e, as_values) is not None for e in explanations)
    return as_values if are_of_regions else replace(drawn, kind="heatmap")


def drawn_regions(e: Explanation, drawn: DrawnMap) -> RegionMap | None:
    """Return the values of regions to draw; None if the map has no regions, or does not draw them as regions.

    Raises:
        OptionError: contours were requested too.
    """
    if e.regions is None or drawn.style.plain or drawn.kind != "values":
        return None
    stderr = None if e.stderr is None else e.stderr[drawn.index]
    regions = region_map(e.regions[drawn.index], e.values[drawn.index], stderr, e.region_names)
    if regions is not None and drawn.style.contours:
        raise OptionError(
            f"contours={drawn.style.contours} were asked for, and the values are of regions, which are flat; leave "
            "contours out, or give plain=True for a map of cells"
        )
    return regions


def check_drawn(drawn: DrawnMap) -> None:
    """Refuse an unknown ground or kind, and an opacity outside of [0, 1]."""
    if drawn.on not in (None, "photo", "input") or drawn.kind not in (None, *get_args(Kind)):
        kinds = ", ".join(map(repr, get_args(Kind)))
        raise OptionError(f"on={drawn.on!r}, kind={drawn.kind!r}; expected on 'photo' or 'input', kind one of {kinds}")
    if not isinstance(drawn.opacity, Real) or not 0 <= drawn.opacity <= 1:
        raise OptionError(f"opacity is {drawn.opacity!r}; expected 0 (only the photograph) to 1 (the most colour)")


def sign_of(kind: ColourScale, style: MapStyle) -> Sign:
    """Return the sign that a map of this kind and style shows.

    Raises:
        OptionError: heat of both signs was requested, which would have the same colour.
    """
    if kind == "values":
        return style.sign or "both"
    if style.sign == "both":
        raise OptionError("a heatmap shows one sign, expected 'positive' or 'negative'; for both draw kind='values'")
    return style.sign or "positive"


def largest_size(e: Explanation, drawn: DrawnMap) -> float:
    """Return the largest absolute value of a region, or else of a place; it has a signed map's strongest colour.

    Interpolation between places, and a single frame of a video, may not reach this value. Their colours are then
    weaker, so that a colour means the same number everywhere.
    """
    regions = drawn_regions(e, drawn)
    return float(e.values[drawn.index].abs().max()) if regions is None else regions.largest


def map_numbers(e: Explanation, drawn: DrawnMap) -> Float[Tensor, "H W"]:
    """Return the numbers to draw: heat in [0, 1], or signed values, at the size of the input."""
    size, values = tuple(e.heatmap.shape[1:]), e.values[drawn.index : drawn.index + 1 or None]
    if drawn.colour_scale == "values":
        return select_frame(e, resize(values, size)[0], drawn)
    is_negative = sign_of(drawn.colour_scale, drawn.style) == "negative"
    return select_frame(e, heatmap_of(-values, size)[0] if is_negative else e.heatmap[drawn.index], drawn)


def shown_cells(e: Explanation, drawn: DrawnMap) -> Tensor:
    """Return which cells are shown; for a volume or video, the cells of one frame."""
    sign = sign_of(drawn.colour_scale, drawn.style)
    return select_frame(e, drawn.style.shown(e.values[drawn.index], sign), drawn)


def drawn_numbers(e: Explanation, drawn: DrawnMap) -> Float[Tensor, " n"]:
    """Return one vector of the numbers that determine a map's colours: two maps with equal vectors look the same.

    It has the numbers relative to the largest, which cells are shown, and the labels and uncertain cells of regions.

    Raises:
        OptionError: as `Explanation.shade`.
    """
    check_drawn(drawn)
    drawn = resolve_kind([e], drawn)
    regions = drawn_regions(e, drawn)
    if regions is None:
        numbers, marks = map_numbers(e, drawn), []
    else:
        numbers = resize(select_frame(e, regions.values, drawn)[None], tuple(e.heatmap.shape[-2:]))[0]
        marks = [select_frame(e, each, drawn).flatten().to(numbers) for each in (regions.labels, regions.unsure)]
    largest = 1 if drawn.colour_scale == "heatmap" else largest_size(e, drawn)
    shown = shown_cells(e, drawn).flatten().to(numbers)
    return torch.cat([(numbers / (largest or 1)).flatten(), shown, *marks])


def select_frame(e: Explanation, cells: Tensor, drawn: DrawnMap) -> Tensor:
    """Return the cells of the drawn frame from 3-D cells; 2-D cells are returned unchanged."""
    if cells.dim() == 2:
        return cells
    return cells[frame_index(e, drawn.index, drawn.frame) * len(cells) // count_frames(e)]


def frame_index(e: Explanation, index: int, frame: int | None) -> int:
    """Return the index of the frame to draw: `frame` if given, else the frame with the most heat.

    Without heat for each frame it is the middle frame.
    """
    frames = count_frames(e)
    if frame is not None:
        return range(frames)[frame]  # raises IndexError if there is no such frame
    heat = e.heatmap[index]
    return int(heat.sum((1, 2)).argmax()) if heat.dim() == 3 else frames // 2


def count_frames(e: Explanation) -> int:
    """Return the number of frames of each image, for volumes and videos."""
    return spatial_size(tuple(e.images.shape), e.channels)[0]
