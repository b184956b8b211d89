"""The pictures of answers, each made on demand from its address."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from PIL import Image

from shapleycam.drawing.data_uri import encode_picture
from shapleycam.errors import OptionError, nearest
from shapleycam.web.resolved import ResolvedQuestion
from shapleycam.web.views.coalitions import draw_input
from shapleycam.web.views.explain import explained
from shapleycam.web.views.fidelity import draw_sampled


def draw_picture(kind: str, resolved: ResolvedQuestion) -> bytes:
    """Return a picture as the bytes of a WebP file, without loss where it is transparent.

    Raises:
        OptionError: an unknown kind.
        ShapleyCamError: the question has no answer.
    """
    if kind not in PICTURES:
        raise OptionError(f"picture kind {kind!r} is unknown; {nearest(kind, PICTURES)}")
    picture = PICTURES[kind](resolved)
    options: dict[str, Any] = {"lossless": True} if picture.mode == "RGBA" else {"quality": 88}
    return encode_picture(picture, "WEBP", **options)


def _photo(resolved: ResolvedQuestion) -> Image.Image:
    return explained(resolved).explanation.overlay(opacity=0)


def _heatmap(resolved: ResolvedQuestion) -> Image.Image:
    return explained(resolved).explanation.shade(0, "heatmap")


def _values(resolved: ResolvedQuestion) -> Image.Image:
    return explained(resolved).explanation.shade(0, "values")


PICTURES: dict[str, Callable[[ResolvedQuestion], Image.Image]] = {
    "photo": _photo,
    "heatmap": _heatmap,
    "values": _values,
    "input": draw_input,
    "sampled": draw_sampled,
}
"""The kinds of picture; a view's own are added to its file and to this table."""
