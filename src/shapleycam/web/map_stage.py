"""A map on the page: the addresses of its pictures, where it lies on the photograph, and the value of each place."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from shapleycam.cams.heatmaps import min_max
from shapleycam.drawing.map_style import MapStyle, Sign
from shapleycam.explanations.evidence import describe_evidence
from shapleycam.explanations.explanation import Explanation
from shapleycam.web.addresses import picture_address
from shapleycam.web.resolved import ResolvedQuestion
from shapleycam.wording import percent, signed

MapKind = Literal["heatmap", "values"]

_TITLES: dict[MapKind, str] = {"heatmap": "heatmap", "values": "signed map"}
_SMALL = 0.25
"""Of a photograph: a smaller crop is shown by itself at first, as of a panorama."""
_MOST_INLINE = 1024
"""Places whose values an answer carries itself; of more they are an address."""


@dataclass(frozen=True)
class MapStage:
    """What the component `map` shows; lengths are in pixels of the photograph, `box` is (left, top, width, height)."""

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
    """The address of its colour bar; None where the style sheet has it."""
    shown: str = ""
    """A sentence about the places that are shown; empty where all are."""

    @property
    def view_box(self) -> tuple[float, ...]:
        """Return the part that is shown at first: all, or the crop where it would be too small to be read."""
        _, _, width, height = self.box
        is_small = width * height < _SMALL * self.width * self.height
        return self.box if is_small else (0, 0, self.width, self.height)


def map_stage(resolved: ResolvedQuestion, e: Explanation, kind: MapKind) -> MapStage:
    """Return one of the two maps of an explanation."""
    width, height, box = _place(e)
    values = e.values[0]
    is_inline = values.numel() <= _MOST_INLINE
    return MapStage(
        kind=kind,
        title=_TITLES[kind],
        alt=f"{_TITLES[kind]} for {e.label()} by {e.method}: {describe_evidence(values)}",
        width=width,
        height=height,
        box=box,
        photo=picture_address(resolved, "photo"),
        shade=picture_address(resolved, kind),
        grid=grid_of_values(values, kind) if is_inline else picture_address(resolved, f"{kind}-grid"),
        unit="of the strongest place" if kind == "heatmap" else unit_of(e),
        bar=bar_address(resolved, kind),
        shown=shown_sentence(resolved.style, "positive" if kind == "heatmap" else "both"),
    )


def bar_address(resolved: ResolvedQuestion, kind: MapKind) -> str | None:
    """Return the address of the colour bar of a kind of map; None where the style sheet has it."""
    return picture_address(resolved, f"{kind}-bar") if resolved.style.colours else None


def shown_sentence(style: MapStyle, sign: Sign) -> str:
    """Return a sentence about the places that a style shows; "" where it shows all."""
    phrase = style.describe(sign)
    return f"{phrase[0].upper()}{phrase[1:]}." if phrase else ""


def grid_of_values(values: Tensor, kind: MapKind) -> str:
    """Return the value of each place as JSON, written as people read it."""
    if kind == "heatmap":
        texts = [percent(share) for share in min_max(values.relu()[None])[0].flatten().tolist()]
    else:
        texts = [signed(value) for value in values.flatten().tolist()]
    rows, columns = values.shape
    return json.dumps({"rows": rows, "columns": columns, "values": texts}, separators=(",", ":"))


def unit_of(e: Explanation) -> str:
    """Return the unit of an explanation's values in words."""
    return utility_word(e) if e.divides_score else "(no units)"


def utility_word(e: Explanation) -> str:
    """Return the utility in words, without the number of the class that it is against."""
    name, against, _ = e.utility_name.partition(" against ")
    return "log-odds" if against and name == "logit" else name


def _place(e: Explanation) -> tuple[int, int, tuple[float, ...]]:
    """Return the width and height of what is shown, and where the network's crop lies in it."""
    source = e.sources[0]
    if source.photo is None or source.box is None or not hasattr(source.photo, "size"):
        height, width = e.heatmap.shape[1:]
        return width, height, (0, 0, width, height)
    left, top, right, bottom = source.box
    box = (left, top, right - left, bottom - top)
    return *source.photo.size, tuple(round(length, 2) for length in box)
