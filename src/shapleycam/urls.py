"""Addresses on the network, where a path was expected: a path keeps one of their two slashes."""

from __future__ import annotations

import re
from pathlib import Path

_URL = re.compile(r"(?P<scheme>[a-zA-Z][a-zA-Z0-9+.-]+):/+(?P<rest>.*)", re.DOTALL)


def url_of(path: str | Path) -> str | None:
    """Return the URL that a path was made of, whole; None for a path of the file system."""
    match = _URL.fullmatch(str(path))
    return f"{match['scheme']}://{match['rest']}" if match and not Path(path).exists() else None
