"""`relative_names`: names of photographs from their paths."""

from __future__ import annotations

import os
from collections.abc import Sequence

from shapleycam.printable import printable_name


def relative_names(paths: Sequence[str], folder: str | None = None) -> tuple[str, ...]:
    """Return a printable name for each absolute path, with "/" between its parts.

    If all files lie in `folder`, names are relative to it; otherwise they are relative to the common folder of all
    files. On Windows, files on different drives have no common folder; then names are absolute paths.

    Examples:
        >>> relative_names(["/data/photos/a.jpg", "/data/b.jpg"], "/data/photos")
        ('photos/a.jpg', 'b.jpg')
    """
    parents = [os.path.dirname(path) for path in paths]  # noqa: PTH120  a Path for each of many thousands is slow
    common = _common(parents) if folder is None or _common([folder, *paths]) != folder else folder
    start = len(common.rstrip(os.sep)) + 1 if common else 0
    return tuple(printable_name(path[start:].replace(os.sep, "/")) for path in paths)


def _common(paths: Sequence[str]) -> str:
    """Return the common folder of paths; "" if there is none."""
    try:
        return os.path.commonpath(paths)
    except ValueError:  # two drives
        return ""
