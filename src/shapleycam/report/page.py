"""Rendering the HTML page of a report; it loads no other file and runs only its own script."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from markupsafe import Markup

from shapleycam.html import read_asset, template_environment
from shapleycam.version import __version__

_TEMPLATES = template_environment("shapleycam.report")


@dataclass(frozen=True)
class Section:
    """An entry in the page's table of contents."""

    id: str
    title: str


def render_page(template: str, **content: Any) -> bytes:
    """Return a page as the bytes of an HTML file; the template escapes `content`."""
    style, script = (Markup(read_asset(name)) for name in ("style.css", "tables.js"))  # noqa: S704  # our own files
    text = _TEMPLATES.get_template(template).render(
        style=style,
        style_hash=_hash_of(style),
        script=script,
        script_hash=_hash_of(script),
        version=__version__,
        **content,
    )
    return text.encode(errors="xmlcharrefreplace")  # a file name may have surrogates, which UTF-8 cannot encode


def _hash_of(text: str) -> str:
    """Return the hash of a style sheet or script, for the page's content security policy."""
    return b64encode(sha256(text.encode()).digest()).decode()
