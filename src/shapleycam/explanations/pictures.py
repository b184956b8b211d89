"""Pictures of an explanation: what the network saw, the colours of a map, and the one over the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from shapleycam.cams.heatmaps import heatmap as heatmap_of
from shapleycam.cams.heatmaps import resize
from shapleycam.drawing import overlays
from shapleycam.drawing.borders import Borders
from shapleycam.drawing.map_style import DEFAULT_STYLE, MapStyle, Sign
from shapleycam.drawing.overlays import ColourScale, Kind, Lines
from shapleycam.errors import BlankHeatmapWarning, ImageError, OptionError, warn
from shapleycam.explanations.regions import RegionMap, region_map
from shapleycam.images import Source, open_photograph
from shapleycam.models.layout import spatial_size
from shapleycam.models.preprocess import Preprocess, to_pixels

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


def picture(e: Explanation, index: int, frame: int | None) -> UInt8[Tensor, "H W 3"]:
    """Return what the network saw of one image; see `Explanation.picture`."""
    image = e.images[index]
    if image.dim() == 4:
        image = image.select(2 - e.channels, _frame(e, index, frame))
    if isinstance(e.preprocess, Preprocess):
        return e.preprocess.picture(image)
    image = image.detach().float()
    low, high = image.aminmax()
    if low < 0 or high > 1:
        image = (image - low) / (high - low) if high > low else torch.zeros_like(image)
    return to_pixels(image[:3] if len(image) >= 3 else image[:1].expand(3, -1, -1))


def count_frames(e: Explanation) -> int:
    """Return how many frames the images of volumes and videos have."""
    return spatial_size(tuple(e.images.shape), e.channels)[0]


def overlay(e: Explanation, drawn: DrawnMap) -> Image.Image:
    """Return a map over one image; see `Explanation.overlay`."""
    drawn = of_kind([e], drawn)
    colours, over, source = shade(e, drawn), lines(e, drawn), e.sources[drawn.index]
    if not is_over_photo(e, drawn.index, drawn.on):
        return overlays.on_picture(picture(e, drawn.index, drawn.frame), colours, over)
    if source.photo is None or source.box is None:
        raise ImageError(f"{source.name}: the photograph, or the crop's place in it, is not known; use on='input'")
    return overlays.on_photo(open_photograph(source.photo), source.box, colours, over)


def _check(drawn: DrawnMap) -> None:
    """Refuse a ground, a kind and an opacity that there is not."""
    if drawn.on not in (None, "photo", "input") or drawn.kind not in (None, *get_args(Kind)):
        kinds = ", ".join(map(repr, get_args(Kind)))
        raise OptionError(f"on={drawn.on!r}, kind={drawn.kind!r}; expected on 'photo' or 'input', kind one of {kinds}")
    if not isinstance(drawn.opacity, Real) or not 0 <= drawn.opacity <= 1:
        raise OptionError(f"opacity is {drawn.opacity!r}; expected 0 (only the photograph) to 1 (the most colour)")


def is_over_photo(e: Explanation, index: int, on: Ground) -> bool:
    """Return whether a map is drawn over the whole photograph, and not over what the network saw."""
    return on == "photo" or (on is None and _can_be_shown(e.sources[index]))


def shade(e: Explanation, drawn: DrawnMap) -> Image.Image:
    """Return the colours alone; see `Explanation.shade`."""
    _check(drawn)
    drawn = of_kind([e], drawn)
    if drawn.kind == "uncertain":
        return _uncertain_shade(e, drawn)
    kind: ColourScale = "heatmap" if drawn.kind == "heatmap" else "values"
    _warn_of_blank(e, drawn, kind)
    regions = drawn_regions(e, drawn)
    if regions is not None:
        values, unsure = _flat(e, regions.values, drawn), _flat(e, regions.unsure, drawn)
        height, width = e.heatmap.shape[-2:]
        colours = overlays.region_shade_of(values, unsure, (height, width), drawn.opacity, drawn.style, regions.largest)
    elif kind == "heatmap":
        colours = overlays.shade_of(_numbers(e, drawn, kind), drawn.opacity, drawn.style)
    else:
        largest = largest_size(e, drawn)
        colours = overlays.signed_shade_of(_numbers(e, drawn, kind), drawn.opacity, drawn.style, largest)
    return overlays.hide(colours, _shown(e, drawn, kind)) if drawn.style.masks else colours


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


def _numbers(e: Explanation, drawn: DrawnMap, kind: ColourScale) -> Float[Tensor, "H W"]:
    """Return what is drawn: heat in [0, 1], or signed values, at the size of the input."""
    size, values = tuple(e.heatmap.shape[1:]), e.values[drawn.index : drawn.index + 1 or None]
    if kind == "values":
        return _flat(e, resize(values, size)[0], drawn)
    is_negative = sign_of(kind, drawn.style) == "negative"
    return _flat(e, heatmap_of(-values, size)[0] if is_negative else e.heatmap[drawn.index], drawn)


def _shown(e: Explanation, drawn: DrawnMap, kind: ColourScale) -> Tensor:
    """Return which cells are shown; of a volume or video those of one frame."""
    return _flat(e, drawn.style.shown(e.values[drawn.index], sign_of(kind, drawn.style)), drawn)


def lines(e: Explanation, drawn: DrawnMap) -> Lines | None:
    """Return what is drawn over the colours: contours, or the borders of regions; None for nothing."""
    drawn = of_kind([e], drawn)
    regions = drawn_regions(e, drawn)
    if regions is not None:
        return Borders(_flat(e, regions.labels, drawn).numpy(), regions.names) if drawn.opacity > 0 else None
    if drawn.kind == "uncertain" or not drawn.style.contours:
        return None
    kind: ColourScale = "heatmap" if drawn.kind == "heatmap" else "values"
    largest = 1 if kind == "heatmap" else largest_size(e, drawn)
    shares = overlays.shares_of(_numbers(e, drawn, kind), largest)
    return overlays.contours_of(kind, shares, drawn.style, _shown(e, drawn, kind))


def drawn_numbers(e: Explanation, drawn: DrawnMap) -> Float[Tensor, " n"]:
    """Return what a map's colours are of, and which cells are shown, in one row: maps with the same ones look the same.

    Raises:
        OptionError: as `Explanation.shade`.
    """
    _check(drawn)
    drawn = of_kind([e], drawn)
    kind: ColourScale = "heatmap" if drawn.kind == "heatmap" else "values"
    regions = drawn_regions(e, drawn)
    if regions is None:
        numbers, marks = _numbers(e, drawn, kind), []
    else:
        numbers = resize(_flat(e, regions.values, drawn)[None], tuple(e.heatmap.shape[-2:]))[0]
        marks = [_flat(e, each, drawn).flatten().to(numbers) for each in (regions.labels, regions.unsure)]
    largest = 1 if kind == "heatmap" else largest_size(e, drawn)
    shown = _shown(e, drawn, kind).flatten().to(numbers)
    return torch.cat([(numbers / (largest or 1)).flatten(), shown, *marks])


def _warn_of_blank(e: Explanation, drawn: DrawnMap, kind: ColourScale) -> None:
    """Warn of a map of one sign where no value has it; maps of what speaks for the class are warned of when made."""
    sign = sign_of(kind, drawn.style)
    if drawn.style.sign is None or bool(drawn.style.strengths(e.values[drawn.index], sign).any()):
        return
    name, label = e.sources[drawn.index].name, e.label(drawn.index)
    warn(
        BlankHeatmapWarning,
        f"{name}: the map of {sign} values for {label!r} by {e.method} is blank: no value is {sign}; draw another sign",
    )


def _uncertain_shade(e: Explanation, drawn: DrawnMap) -> Image.Image:
    if drawn.style != DEFAULT_STYLE:
        raise OptionError("kind='uncertain' has one colour and shows all places; leave out what else it should show")
    if e.uncertain is None:
        raise OptionError(f"values of {e.method} have no standard error; use method 'sampledshapley'")
    height, width = e.heatmap.shape[-2:]
    return overlays.uncertain_shade_of(_flat(e, e.uncertain[drawn.index], drawn), (height, width), drawn.opacity)


def _flat(e: Explanation, cells: Tensor, drawn: DrawnMap) -> Tensor:
    """Return of 3-D cells those of one frame of the image."""
    if cells.dim() == 2:
        return cells
    return cells[_frame(e, drawn.index, drawn.frame) * len(cells) // count_frames(e)]


def _frame(e: Explanation, index: int, frame: int | None) -> int:
    """Return the frame that is drawn: as given, or the one with the most heat."""
    frames = count_frames(e)
    if frame is not None:
        return range(frames)[frame]  # an IndexError for what is not there
    heat = e.heatmap[index]
    return int(heat.sum((1, 2)).argmax()) if heat.dim() == 3 else frames // 2


def _can_be_shown(source: Source) -> bool:
    """Return whether there still is a photograph, with a known place of the crop in it."""
    exists = source.photo.is_file() if isinstance(source.photo, Path) else source.photo is not None
    return exists and source.box is not None
