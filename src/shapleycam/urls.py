"""URLs that were given where a path was expected."""

from __future__ import annotations

import os
import re
from pathlib import Path

_URL = re.compile(r"(?P<scheme>[a-zA-Z][a-zA-Z0-9+.-]+):/+(?P<rest>.*)", re.DOTALL)


def url_of(path: str | Path) -> str | None:
    """Return the URL that a path was made of, None for a path of the file system.

    `Path` keeps only one of a URL's two slashes; the other is put back.

    Examples:
        >>> url_of(Path("https://example.org/cat.jpg")), url_of("cat.jpg")
        ('https://example.org/cat.jpg', None)
    """
    match = _URL.fullmatch(str(path))
    return f"{match['scheme']}://{match['rest']}" if match and not os.path.exists(path) else None  # noqa: PTH110  which never raises
