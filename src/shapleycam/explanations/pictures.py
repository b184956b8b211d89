"""Pictures of an explanation: the network's input, the colours of a map, and the map over the photograph."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

from shapleycam.drawing import overlays
from shapleycam.drawing.borders import Borders
from shapleycam.drawing.map_style import DEFAULT_STYLE
from shapleycam.drawing.overlays import Lines
from shapleycam.errors import BlankHeatmapWarning, ImageError, OptionError, warn
from shapleycam.explanations.drawn_map import (
    DrawnMap,
    Ground,
    check_drawn,
    drawn_regions,
    frame_index,
    largest_size,
    map_numbers,
    resolve_kind,
    select_frame,
    shown_cells,
    sign_of,
)
from shapleycam.images import Source, open_photograph
from shapleycam.models.preprocess import Preprocess, to_pixels

if TYPE_CHECKING:
    from shapleycam.explanations.explanation import Explanation


def picture(e: Explanation, index: int, frame: int | None) -> UInt8[Tensor, "H W 3"]:
    """Return one image's network input as pixels; see `Explanation.picture`."""
    image = e.images[index]
    if image.dim() == 4:
        image = image.select(2 - e.channels, frame_index(e, index, frame))
    if isinstance(e.preprocess, Preprocess):
        return e.preprocess.picture(image)
    image = image.detach().float()
    low, high = image.aminmax()
    if low < 0 or high > 1:
        image = (image - low) / (high - low) if high > low else torch.zeros_like(image)
    return to_pixels(image[:3] if len(image) >= 3 else image[:1].expand(3, -1, -1))


def overlay(e: Explanation, drawn: DrawnMap) -> Image.Image:
    """Return a picture of a map over one image; see `Explanation.overlay`."""
    drawn = resolve_kind([e], drawn)
    colours, over, source = shade(e, drawn), lines(e, drawn), e.sources[drawn.index]
    if not is_over_photo(e, drawn.index, drawn.on):
        return overlays.on_picture(picture(e, drawn.index, drawn.frame), colours, over)
    if source.photo is None or source.box is None:
        raise ImageError(f"{source.name}: the photograph, or the crop's place in it, is not known; use on='input'")
    return overlays.on_photo(open_photograph(source.photo), source.box, colours, over)


def is_over_photo(e: Explanation, index: int, on: Ground) -> bool:
    """Return whether a map is drawn over the whole photograph, rather than over the network's input."""
    return on == "photo" or (on is None and _has_photograph(e.sources[index]))


def shade(e: Explanation, drawn: DrawnMap) -> Image.Image:
    """Return the map's colours without the photograph; see `Explanation.shade`."""
    check_drawn(drawn)
    drawn = resolve_kind([e], drawn)
    if drawn.kind == "uncertain":
        return _uncertain_shade(e, drawn)
    _warn_of_blank(e, drawn)
    regions = drawn_regions(e, drawn)
    if regions is not None:
        values, unsure = select_frame(e, regions.values, drawn), select_frame(e, regions.unsure, drawn)
        height, width = e.heatmap.shape[-2:]
        colours = overlays.region_shade_of(values, unsure, (height, width), drawn.opacity, drawn.style, regions.largest)
    elif drawn.colour_scale == "heatmap":
        colours = overlays.shade_of(map_numbers(e, drawn), drawn.opacity, drawn.style)
    else:
        largest = largest_size(e, drawn)
        colours = overlays.signed_shade_of(map_numbers(e, drawn), drawn.opacity, drawn.style, largest)
    return overlays.hide(colours, shown_cells(e, drawn)) if drawn.style.masks else colours


def lines(e: Explanation, drawn: DrawnMap) -> Lines | None:
    """Return the lines over the colours: contours, or the borders of regions; None if there are none."""
    drawn = resolve_kind([e], drawn)
    regions = drawn_regions(e, drawn)
    if regions is not None:
        return Borders(select_frame(e, regions.labels, drawn).numpy(), regions.names) if drawn.opacity > 0 else None
    if drawn.kind == "uncertain" or not drawn.style.contours:
        return None
    largest = 1 if drawn.colour_scale == "heatmap" else largest_size(e, drawn)
    shares = overlays.shares_of(map_numbers(e, drawn), largest)
    return overlays.contours_of(drawn.colour_scale, shares, drawn.style, shown_cells(e, drawn))


def _warn_of_blank(e: Explanation, drawn: DrawnMap) -> None:
    """Warn if no value has the sign that the style chooses; for the default sign, computing the heatmap warned."""
    sign = sign_of(drawn.colour_scale, drawn.style)
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
    return overlays.uncertain_shade_of(select_frame(e, e.uncertain[drawn.index], drawn), (height, width), drawn.opacity)


def _has_photograph(source: Source) -> bool:
    """Return whether the photograph still exists, and the crop's position in it is known."""
    exists = source.photo.is_file() if isinstance(source.photo, Path) else source.photo is not None
    return exists and source.box is not None
