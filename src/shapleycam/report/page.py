"""The page around a report: one file, which asks for nothing else and runs no script but its own."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from shapleycam.version import __version__

_TEMPLATES = Environment(
    loader=PackageLoader("shapleycam.report"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


@dataclass(frozen=True)
class Section:
    """A part of the page that the table of contents names."""

    id: str
    title: str


def rendered(template: str, **content: Any) -> bytes:
    """A page as a file has it; what is in `content` is escaped."""
    style, script = (Markup(_read(name)) for name in ("page.css", "page.js"))  # noqa: S704  # our own files
    digest = b64encode(sha256(script.encode()).digest()).decode()
    text = _TEMPLATES.get_template(template).render(
        style=style, script=script, script_hash=digest, version=__version__, **content
    )
    return text.encode(errors="xmlcharrefreplace")  # a file name may hold what is no text


def _read(name: str) -> str:
    """One of our own files."""
    return _TEMPLATES.loader.get_source(_TEMPLATES, name)[0]  # type: ignore[union-attr]
