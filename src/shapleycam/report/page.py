"""The page around a report: one file, which loads nothing else and runs no script but its own."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from markupsafe import Markup

from shapleycam.html import template_environment
from shapleycam.version import __version__
from shapleycam.wording import number, percent

_TEMPLATES = template_environment("shapleycam.report")


@dataclass(frozen=True)
class Section:
    """A part of the page that the table of contents names."""

    id: str
    title: str


def render_page(template: str, **content: Any) -> bytes:
    """Return a page as the bytes of a file; what is in `content` is escaped."""
    style, script = (Markup(_read(name)) for name in ("page.css", "page.js"))  # noqa: S704  # our own files
    digest = b64encode(sha256(script.encode()).digest()).decode()
    text = _TEMPLATES.get_template(template).render(
        style=style, script=script, script_hash=digest, version=__version__, percent=percent, number=number, **content
    )
    return text.encode(errors="xmlcharrefreplace")  # a file name may have characters that are not Unicode text


def _read(name: str) -> str:
    """Return the text of a file in this package's folder of templates."""
    return _TEMPLATES.loader.get_source(_TEMPLATES, name)[0]  # type: ignore[union-attr]
