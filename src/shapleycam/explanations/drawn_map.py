"""What a map shows of one image: which numbers, of which places, in which frame; nothing is drawn here."""

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
"""What a map is drawn over; None for the photograph where it still is."""


@dataclass(frozen=True)
class DrawnMap:
    """Which map of one image is drawn, over what and how; `Explanation.overlay` explains the fields."""

    index: int = 0
    on: Ground = None
    kind: Kind | None = None
    opacity: float = 0.75
    frame: int | None = None
    style: MapStyle = DEFAULT_STYLE

    @property
    def colour_scale(self) -> ColourScale:
        """Return what the colours are of: heat, or signed values."""
        return "heatmap" if self.kind == "heatmap" else "values"

    @property
    def sign(self) -> Sign:
        """Return the sign of the values that the map shows."""
        return self.style.sign or ("positive" if self.kind == "heatmap" else "both")

    @property
    def chosen_sign(self) -> Sign | None:
        """Return the sign that was asked for; None where the data decide, or it is the usual one."""
        return None if self.kind is None or self.sign == "positive" else self.sign


def of_kind(explanations: Sequence[Explanation], drawn: DrawnMap) -> DrawnMap:
    """Return what is drawn with the kind that the data have: values where all are of regions, and heat otherwise."""
    if drawn.kind is not None:
        return drawn
    as_values = replace(drawn, kind="values")
    are_of_regions = all(drawn_regions(e, as_values) is not None for e in explanations)
    return as_values if are_of_regions else replace(drawn, kind="heatmap")


def drawn_regions(e: Explanation, drawn: DrawnMap) -> RegionMap | None:
    """Return the values of regions that are drawn; None where they are not, or not as regions.

    Raises:
        OptionError: contours are asked for too.
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
    """Refuse a ground, a kind and an opacity that there is not."""
    if drawn.on not in (None, "photo", "input") or drawn.kind not in (None, *get_args(Kind)):
        kinds = ", ".join(map(repr, get_args(Kind)))
        raise OptionError(f"on={drawn.on!r}, kind={drawn.kind!r}; expected on 'photo' or 'input', kind one of {kinds}")
    if not isinstance(drawn.opacity, Real) or not 0 <= drawn.opacity <= 1:
        raise OptionError(f"opacity is {drawn.opacity!r}; expected 0 (only the photograph) to 1 (the most colour)")


def sign_of(kind: ColourScale, style: MapStyle) -> Sign:
    """Return the sign that a map of this kind and style shows.

    Raises:
        OptionError: heat of both signs, which would have one colour.
    """
    if kind == "values":
        return style.sign or "both"
    if style.sign == "both":
        raise OptionError("a heatmap shows one sign, expected 'positive' or 'negative'; for both draw kind='values'")
    return style.sign or "positive"


def largest_size(e: Explanation, drawn: DrawnMap) -> float:
    """Return the largest size of a value that is drawn, which has the strongest colour of a map of signed values.

    It is that of a region where these are drawn, and of a place otherwise. Between places a map is interpolated, and
    one frame of a video may have less: their colours are weaker, so that colours mean the same numbers everywhere.
    """
    regions = drawn_regions(e, drawn)
    return float(e.values[drawn.index].abs().max()) if regions is None else regions.largest


def numbers_of(e: Explanation, drawn: DrawnMap) -> Float[Tensor, "H W"]:
    """Return what is drawn: heat in [0, 1], or signed values, at the size of the input."""
    size, values = tuple(e.heatmap.shape[1:]), e.values[drawn.index : drawn.index + 1 or None]
    if drawn.colour_scale == "values":
        return of_one_frame(e, resize(values, size)[0], drawn)
    is_negative = sign_of(drawn.colour_scale, drawn.style) == "negative"
    return of_one_frame(e, heatmap_of(-values, size)[0] if is_negative else e.heatmap[drawn.index], drawn)


def shown_cells(e: Explanation, drawn: DrawnMap) -> Tensor:
    """Return which cells are shown; of a volume or video those of one frame."""
    sign = sign_of(drawn.colour_scale, drawn.style)
    return of_one_frame(e, drawn.style.shown(e.values[drawn.index], sign), drawn)


def drawn_numbers(e: Explanation, drawn: DrawnMap) -> Float[Tensor, " n"]:
    """Return what a map's colours are of, and which cells are shown, in one row: maps with the same ones look the same.

    Raises:
        OptionError: as `Explanation.shade`.
    """
    check_drawn(drawn)
    drawn = of_kind([e], drawn)
    regions = drawn_regions(e, drawn)
    if regions is None:
        numbers, marks = numbers_of(e, drawn), []
    else:
        numbers = resize(of_one_frame(e, regions.values, drawn)[None], tuple(e.heatmap.shape[-2:]))[0]
        marks = [of_one_frame(e, each, drawn).flatten().to(numbers) for each in (regions.labels, regions.unsure)]
    largest = 1 if drawn.colour_scale == "heatmap" else largest_size(e, drawn)
    shown = shown_cells(e, drawn).flatten().to(numbers)
    return torch.cat([(numbers / (largest or 1)).flatten(), shown, *marks])


def of_one_frame(e: Explanation, cells: Tensor, drawn: DrawnMap) -> Tensor:
    """Return of 3-D cells those of one frame of the image."""
    if cells.dim() == 2:
        return cells
    return cells[frame_of(e, drawn.index, drawn.frame) * len(cells) // count_frames(e)]


def frame_of(e: Explanation, index: int, frame: int | None) -> int:
    """Return the frame that is drawn: as given, or the one with the most heat."""
    frames = count_frames(e)
    if frame is not None:
        return range(frames)[frame]  # an IndexError for what is not there
    heat = e.heatmap[index]
    return int(heat.sum((1, 2)).argmax()) if heat.dim() == 3 else frames // 2


def count_frames(e: Explanation) -> int:
    """Return how many frames the images of volumes and videos have."""
    return spatial_size(tuple(e.images.shape), e.channels)[0]
