"""Recognising URLs that were given instead of a path, and what opens them."""

from __future__ import annotations

import re
from pathlib import PurePath
from urllib.request import url2pathname

from shapleycam.regular_files import is_there

PYARROW_SCHEMES = ("s3", "gs", "gcs", "abfs", "abfss", "hdfs", "viewfs")
"""Schemes of URLs that pyarrow opens itself; it opens others through fsspec."""
_URL = re.compile(r"(?P<scheme>[a-zA-Z][a-zA-Z0-9+.-]+):/+(?P<rest>.*)", re.DOTALL)


def url_of(path: str | PurePath) -> str | None:
    """Return the URL that was converted to a path; None for a path of the file system, such as `C:/photos`.

    `Path` reduces a URL's two slashes to one, and on Windows turns slashes into backslashes; both are undone here.

    Examples:
        >>> from pathlib import Path
        >>> url_of(Path("https://example.org/cat.jpg")), url_of("cat.jpg")
        ('https://example.org/cat.jpg', None)
    """
    match = _URL.fullmatch(path if isinstance(path, str) else path.as_posix())
    return f"{match['scheme']}://{match['rest']}" if match and not is_there(path) else None


def path_of_file_url(url: str) -> str:
    """Return the path in a URL such as `file:///photos/a%20b.jpg`, or on Windows `file:///C:/photos`.

    Examples:
        >>> path_of_file_url("file:///photos/a%20b.jpg")
        '/photos/a b.jpg'
    """
    return url2pathname(url.removeprefix("file://"))
