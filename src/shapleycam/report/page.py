"""The page around a report: one file, which loads nothing else and runs no script but its own."""

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
    """A part of the page that the table of contents names."""

    id: str
    title: str


def render_page(template: str, **content: Any) -> bytes:
    """Return a page as the bytes of a file; what is in `content` is escaped."""
    style, script = (Markup(read_asset(name)) for name in ("style.css", "tables.js"))  # noqa: S704  # our own files
    text = _TEMPLATES.get_template(template).render(
        style=style,
        style_hash=_hash_of(style),
        script=script,
        script_hash=_hash_of(script),
        version=__version__,
        **content,
    )
    return text.encode(errors="xmlcharrefreplace")  # a file name may have characters that are not Unicode text


def _hash_of(text: str) -> str:
    """Return the hash by which the page's security policy allows a style sheet or script."""
    return b64encode(sha256(text.encode()).digest()).decode()
