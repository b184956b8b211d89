"""The pictures and files in answers, which are made on demand from their addresses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from PIL import Image

from shapleycam.drawing.colour_bars import bar_picture
from shapleycam.drawing.data_uri import encode_picture
from shapleycam.errors import OptionError
from shapleycam.explanations.drawn_map import DrawnMap, drawn_regions
from shapleycam.explanations.explanation import Explanation
from shapleycam.explanations.pictures import lines, shade
from shapleycam.names import nearest
from shapleycam.web.compared import compared_by
from shapleycam.web.downloads import FILES as DOWNLOADS
from shapleycam.web.explained import explained, explained_after
from shapleycam.web.game_pictures import draw_input, draw_sampled
from shapleycam.web.input_games import watched_input
from shapleycam.web.map_stage import MapKind
from shapleycam.web.resolved import ResolvedQuestion
from shapleycam.web.views.results import picture_of_run

FILES: dict[str, tuple[str, Callable[[ResolvedQuestion], bytes]]] = {
    **DOWNLOADS,
    "run-drawing": ("image/svg+xml", picture_of_run),
    "run-map": ("image/jpeg", picture_of_run),
}
"""Files that are not WebP pictures, by kind: the media type, and the function that makes the bytes."""
_THUMBNAIL = 240
"""Pixels of the longer side of the photograph in the panel."""
_WITH_LINES = 640
"""Minimum pixels of the longer side of a map with borders or contours: a browser would blur them in a smaller map."""
_BAR = (255, 8)
"""Width and height of a colour bar in pixels; the middle column is zero."""


def draw_picture(kind: str, resolved: ResolvedQuestion) -> bytes:
    """Return a picture as the bytes of a WebP file (lossless if it is transparent), or a file of `FILES`.

    Raises:
        OptionError: the kind is unknown.
        ShapleyCamError: the question has no answer.
    """
    if kind in FILES:
        return FILES[kind][1](resolved)
    if kind not in PICTURES:
        raise OptionError(f"picture kind {kind!r} is unknown; {nearest(kind, [*PICTURES, *FILES])}")
    picture = PICTURES[kind](resolved)
    options: dict[str, Any] = {"lossless": True} if picture.mode == "RGBA" else {"quality": 80}
    return encode_picture(picture, "WEBP", **options)


def media_type(kind: str) -> str:
    """Return the media type of the bytes that `draw_picture` returns."""
    return FILES[kind][0] if kind in FILES else "image/webp"


def _thumbnail(resolved: ResolvedQuestion) -> Image.Image:
    picture = resolved.photograph.image()
    picture.thumbnail((_THUMBNAIL, _THUMBNAIL))
    return picture


def _photo(resolved: ResolvedQuestion) -> Image.Image:
    watched = watched_input(resolved)
    e = explained(resolved).explanation if watched is None else watched.image  # this exists before the first run
    return e.overlay(opacity=0)


def _heatmap(resolved: ResolvedQuestion) -> Image.Image:
    return _with_lines(explained(resolved).explanation, DrawnMap(kind="heatmap", opacity=1.0, style=resolved.style))


def _values(resolved: ResolvedQuestion) -> Image.Image:
    """Return the signed map, at the end or after the number of runs in `part`."""
    part = resolved.question.part
    e = (explained_after(resolved, part) if part else explained(resolved)).explanation
    return _with_lines(e, DrawnMap(kind="values", opacity=1.0, style=resolved.style))


def _with_lines(e: Explanation, drawn: DrawnMap) -> Image.Image:
    """Return the colours of a map with its contours, or with the borders of its regions, if it has any."""
    colours, over = shade(e, drawn), lines(e, drawn)
    if over is None:
        return colours
    scale = -(-_WITH_LINES // max(colours.size))
    size = (scale * colours.width, scale * colours.height)
    # Regions keep hard edges, which lie under their borders.
    how = Image.Resampling.NEAREST if drawn_regions(e, drawn) is not None else Image.Resampling.BILINEAR
    return Image.alpha_composite(colours.resize(size, how), over.draw(size))


def _card(resolved: ResolvedQuestion) -> Image.Image:
    return compared_by(resolved, resolved.question.method).overlay(
        on="input", kind="heatmap", **resolved.style_keywords
    )


def _signed_card(resolved: ResolvedQuestion) -> Image.Image:
    return compared_by(resolved, resolved.question.method).overlay(on="input", kind="values", **resolved.style_keywords)


def _bar(kind: MapKind) -> Callable[[ResolvedQuestion], Image.Image]:
    return lambda resolved: bar_picture(kind, *_BAR, opacity=1.0, style=resolved.style)


PICTURES: dict[str, Callable[[ResolvedQuestion], Image.Image]] = {
    "thumbnail": _thumbnail,
    "photo": _photo,
    "heatmap": _heatmap,
    "values": _values,
    "input": draw_input,
    "sampled": draw_sampled,
    "card": _card,
    "signed-card": _signed_card,
    "heatmap-bar": _bar("heatmap"),
    "values-bar": _bar("values"),
}
"""The kinds of pictures. To add one for a view, write its function in the view's file and list it here."""
