"""The HTML of the page, piece by piece; what users and models name is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from PIL import Image

from shapleycam.drawing.data_uri import css_gradient, make_data_uri, picture_data_uri
from shapleycam.drawing.overlays import HEAT, SIGNED

_WORDS = {"{": "&#123;", "}": "&#125;", "$": "&#36;", "`": "&#96;"}
"""What a template in the browser would take for its own."""


class Html(str):
    """What is HTML already."""

    __slots__ = ()


def text(value: object) -> str:
    """Text of any origin as text."""
    if isinstance(value, Html):
        return value
    return "".join(_WORDS.get(character, character) for character in escape(str(value)))


def picture_uri(image: Image.Image) -> str:
    """A picture as the page shows it: WebP, without loss where it is transparent."""
    how: dict[str, Any] = {"lossless": True} if image.mode == "RGBA" else {"quality": 88}
    return picture_data_uri(image, "WEBP", **how)


def message(what: object) -> str:
    """What could not be done."""
    return f'<p class="sc-message" role="alert">{text(what)}</p>'


def hint(what: str) -> str:
    """Something to know about a valid result."""
    return f'<p class="sc-hint" role="note">{text(what)}</p>'


def sampling(orders: int, reached: float) -> str:
    """How far sampling is."""
    return f'<p class="sc-where" role="status">sampling: {orders} orders, standard error {reached:.2%}</p>'


def facts(pairs: Iterable[tuple[str, object]]) -> str:
    """Names and what they are."""
    rows = "".join(f"<div><dt>{text(name)}</dt><dd>{text(value)}</dd></div>" for name, value in pairs)
    return f'<dl class="sc-facts">{rows}</dl>'


def table(heads: Sequence[str], rows: Iterable[Sequence[object]], caption: str) -> str:
    """A table that a click on a head sorts; the first cell of a row names it."""
    tops = "".join(
        f'<th scope="col"><button type="button" onclick="scSort(this)">{text(h)}</button></th>' for h in heads
    )
    body = "".join(
        f'<tr><th scope="row">{text(first)}</th>{"".join(f"<td>{text(cell)}</td>" for cell in others)}</tr>'
        for first, *others in rows
    )
    return (
        f'<div class="sc-scroll" tabindex="0" role="group" aria-label="{text(caption)}">'
        f'<table class="sc-table"><caption>{text(caption)}</caption><thead><tr>{tops}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def colour_bar(signed: bool, low: str, high: str, what: str) -> str:  # noqa: FBT001
    """The colours of a map with what their ends mean."""
    ends = f"<span>{text(low)}</span><span>{text(what)}</span><span>{text(high)}</span>"
    bar = f'<i style="background:{css_gradient(SIGNED if signed else HEAT)}"></i>'
    return (
        f'<div class="sc-bar" aria-label="{text(f"colours from {low} to {high}, {what}")}" role="img">{bar}{ends}</div>'
    )


def download(name: str, content: bytes, kind: str, label: str) -> str:
    """A link to something to keep."""
    return f'<a class="sc-button" download="{text(name)}" href="{make_data_uri(content, kind)}">{text(label)}</a>'


def enlargeable(image: Image.Image, alt: str, title: str, caption: str) -> str:
    """A picture that a click, or the enter key, enlarges."""
    source = picture_uri(image)
    shown = f'<img src="{source}" alt="{text(alt)}">'
    return (
        f'<figure class="sc-card"><button type="button" onclick="this.nextElementSibling.showModal()" '
        f'aria-label="{text(f"enlarge {title}")}">{shown}</button>'
        f'<dialog onclick="this.close()"><form method="dialog">{shown}<p>{text(title)}: {text(caption)}</p>'
        f'<button class="sc-button">close</button></form></dialog>'
        f"<figcaption><strong>{text(title)}</strong> {text(caption)}</figcaption></figure>"
    )
