"""Names of photographs that are listed by their paths."""

from __future__ import annotations

import os
from collections.abc import Sequence

from shapleycam.printable import printable_name


def relative_names(paths: Sequence[str], folder: str | None = None) -> tuple[str, ...]:
    """Return a printable name for each absolute path, with "/" between its parts.

    Names are relative to `folder`, where all files lie below it, otherwise to the folder that is common to all. On
    Windows files may have none in common, on two drives: names are then whole paths.

    Examples:
        >>> relative_names(["/data/photos/a.jpg", "/data/b.jpg"], "/data/photos")
        ('photos/a.jpg', 'b.jpg')
    """
    parents = [os.path.dirname(path) for path in paths]  # noqa: PTH120  a Path for each of many thousands is slow
    common = _common(parents) if folder is None or _common([folder, *paths]) != folder else folder
    start = len(common.rstrip(os.sep)) + 1 if common else 0
    return tuple(printable_name(path[start:].replace(os.sep, "/")) for path in paths)


def _common(paths: Sequence[str]) -> str:
    """Return the folder that paths have in common, "" for none."""
    try:
        return os.path.commonpath(paths)
    except ValueError:  # two drives
        return ""
