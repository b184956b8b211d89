"""Names of files relative to a folder that is common to all."""

from __future__ import annotations

import os
from collections.abc import Sequence

from shapleycam.printable import printable_name


def relative_names(paths: Sequence[str], folder: str | None = None) -> list[str]:
    """Return paths relative to a folder, or to the one common to all where any lies elsewhere, as they can be printed.

    Files on several drives of Windows have none in common, and keep their whole paths.

    Examples:
        >>> relative_names(["/data/a/1.jpg", "/data/b/2.jpg"])
        ['a/1.jpg', 'b/2.jpg']
        >>> relative_names(["/data/a/1.jpg"], "/data"), relative_names(["/data/a/1.jpg"], "/lists")
        (['a/1.jpg'], ['1.jpg'])
    """
    absolute = [os.path.abspath(path) for path in paths]  # noqa: PTH100  resolve() would follow links
    try:
        if folder is None or os.path.commonpath([folder, *absolute]) != folder:
            folder = os.path.commonpath([os.path.dirname(path) for path in absolute])  # noqa: PTH120
    except ValueError:
        folder = ""
    start = len(folder.rstrip(os.sep)) + 1 if folder else 0
    return [printable_name(path[start:].replace(os.sep, "/")) for path in absolute]
