"""A map on the page: the addresses of its pictures, its position on the photograph, and the value of each place."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from shapleycam.cams.heatmaps import min_max
from shapleycam.drawing.map_style import DEFAULT_STYLE, MapStyle, Sign
from shapleycam.explanations.drawn_map import DrawnMap, drawn_regions, sign_of
from shapleycam.explanations.evidence import describe_evidence
from shapleycam.explanations.explanation import Explanation
from shapleycam.explanations.regions import RegionMap, RegionValue, describe_value
from shapleycam.web.addresses import picture_address
from shapleycam.web.resolved import ResolvedQuestion
from shapleycam.wording import percent, signed

MapKind = Literal["heatmap", "values"]

_TITLES: dict[MapKind, str] = {"heatmap": "heatmap", "values": "signed map"}
_SMALL = 0.25
"""A crop below this share of the photograph is shown alone at first, for example in a panorama."""
_MOST_INLINE = 1024
"""An answer contains the values of at most this number of places; if there are more, it contains their address."""


@dataclass(frozen=True)
class MapStage:
    """Content of the component `map`; lengths are in pixels of the photograph, `box` is (left, top, width, height)."""

    kind: MapKind
    title: str
    alt: str
    width: int
    height: int
    box: tuple[float, ...]
    photo: str
    shade: str
    grid: str
    unit: str
    bar: str | None = None
    """The address of the map's colour bar; None if the style sheet has this bar."""
    shown: str = ""
    """A sentence about the places and lines that are shown; empty for all places without lines."""
    sign: Sign = "both"
    """The sign of the values that are shown."""

    @property
    def view_box(self) -> tuple[float, ...]:
        """Return the part that is shown at first: the whole photograph, or only the crop if it would be too small."""
        _, _, width, height = self.box
        is_small = width * height < _SMALL * self.width * self.height
        return self.box if is_small else (0, 0, self.width, self.height)


def map_stage(resolved: ResolvedQuestion, e: Explanation, kind: MapKind, part: str = "") -> MapStage:
    """Return one of the two maps of an explanation; while values are sampled, `part` identifies the state."""
    width, height, box = _place(e)
    values = e.values[0]
    regions = drawn_regions(e, DrawnMap(kind=kind, style=resolved.style))
    if regions is not None:
        grid = grid_of_regions(regions, e.region_values(0))
    elif values.numel() <= _MOST_INLINE:
        grid = grid_of_values(values, kind, resolved.style)
    else:
        grid = picture_address(resolved, f"{kind}-grid")
    sign = sign_of(kind, resolved.style)
    return MapStage(
        kind=kind,
        title=_TITLES[kind],
        alt=f"{_TITLES[kind]} for {e.label()} by {e.method}: {evidence_in_words(e, sign)}",
        width=width,
        height=height,
        box=box,
        photo=picture_address(resolved, "photo"),
        shade=picture_address(resolved, kind, part=part),
        grid=grid,
        unit="of the strongest place" if kind == "heatmap" else unit_of(e),
        bar=bar_address(resolved, kind),
        shown=shown_sentence(resolved.style, sign),
        sign=sign,
    )


def evidence_in_words(e: Explanation, sign: Sign) -> str:
    """Return in words where the evidence for the class is, or that a map of this sign shows what speaks against it."""
    return "what speaks against the class" if sign == "negative" else describe_evidence(e.values[0])


def bar_address(resolved: ResolvedQuestion, kind: MapKind) -> str | None:
    """Return the address of the colour bar for a kind of map; None if the style sheet has this bar."""
    style = resolved.style
    has_other_colours = style.colours is not None or (kind == "values" and style.sign is not None)
    return picture_address(resolved, f"{kind}-bar") if has_other_colours else None


def shown_sentence(style: MapStyle, sign: Sign) -> str:
    """Return a sentence about the sign, the places and the lines that a style shows; "" for the usual style."""
    alone = f"{style.sign} values alone" if style.sign else ""
    phrase = "; ".join(part for part in (alone, style.describe(sign)) if part)
    return f"{phrase[0].upper()}{phrase[1:]}." if phrase else ""


def grid_of_values(values: Tensor, kind: MapKind, style: MapStyle = DEFAULT_STYLE) -> str:
    """Return the value of each place as JSON, formatted for people; for a heatmap its share of the strongest place."""
    if kind == "heatmap":
        strengths = style.strengths(values, sign_of(kind, style))
        texts = [percent(share) for share in min_max(strengths[None])[0].flatten().tolist()]
    else:
        texts = [signed(value) for value in values.flatten().tolist()]
    rows, columns = values.shape
    return json.dumps({"rows": rows, "columns": columns, "values": texts}, separators=(",", ":"))


def grid_of_regions(regions: RegionMap, values: Sequence[RegionValue]) -> str:
    """Return the value of each region, and the region of each place, as JSON.

    Places are in reading order and run-length encoded: the number of a region, the number of places in it, and so on.

    Examples:
        >>> import torch
        >>> from shapleycam.explanations.regions import region_map, region_values
        >>> from shapleycam.web.map_stage import grid_of_regions
        >>> labels, cells = torch.tensor([[0, 0, 1, 1]]), torch.tensor([[0.5, 0.5, -2.0, -2.0]])
        >>> grid_of_regions(region_map(labels, cells), region_values(labels, cells))
        '{"rows":1,"columns":4,"values":["+1","-4"],"places":[0,2,1,2]}'
    """
    rows, columns = regions.labels.shape
    texts = [describe_value(value) for value in sorted(values, key=lambda value: value.region)]
    labels, counts = regions.labels.flatten().unique_consecutive(return_counts=True)
    places = torch.stack([labels, counts], 1).flatten().tolist()
    grid = {"rows": rows, "columns": columns, "values": texts, "places": places}
    return json.dumps(grid, separators=(",", ":"))


def unit_of(e: Explanation) -> str:
    """Return in words the unit of an explanation's values."""
    return utility_word(e) if e.divides_score else "(no units)"


def utility_word(e: Explanation) -> str:
    """Return the utility in words, without the number of the class in a contrast."""
    name, against, _ = e.utility_name.partition(" against ")
    return "log-odds" if against and name == "logit" else name


def _place(e: Explanation) -> tuple[int, int, tuple[float, ...]]:
    """Return the width and height of the picture that is shown, and the position of the network's crop in it."""
    source = e.sources[0]
    if source.photo is None or source.box is None or not hasattr(source.photo, "size"):
        height, width = e.heatmap.shape[1:]
        return width, height, (0, 0, width, height)
    left, top, right, bottom = source.box
    box = (left, top, right - left, bottom - top)
    return *source.photo.size, tuple(round(length, 2) for length in box)
