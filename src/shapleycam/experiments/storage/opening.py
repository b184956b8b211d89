"""`open_storage`: the storage at a path or a URL."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

from shapleycam.experiments.storage.base import Storage
from shapleycam.experiments.storage.folder import FolderStorage
from shapleycam.experiments.storage.remote import RemoteStorage
from shapleycam.urls import path_of_file_url

Location: TypeAlias = "str | Path | Storage"
"""A path, a URL, or an open storage."""


def open_storage(location: Location) -> Storage:
    """Return the storage at a path or a URL; an open storage is returned unchanged.

    Raises:
        OptionError: the URL has a scheme that cannot be written, or whose library is not installed.

    Examples:
        >>> from shapleycam.experiments.storage import open_storage
        >>> print(open_storage("memory://results/run/"))
        memory://results/run
    """
    if isinstance(location, Storage):
        return location
    text = str(location)
    if isinstance(location, str) and text.startswith("file://"):
        return FolderStorage(Path(path_of_file_url(text)))
    if isinstance(location, str) and "://" in text:
        return RemoteStorage(text)
    return FolderStorage(Path(location))
