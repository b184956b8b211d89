"""Finding the photographs below a folder, for the command line and for datasets."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from shapleycam.errors import DatasetWarning, ImageError, warn
from shapleycam.printable import printable_name
from shapleycam.wording import counted

SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".jp2", ".avif"}
    # Pillow reads these with plugins. Without a plugin each such file is reported as an error, not silently skipped.
    | {".heic", ".heif", ".jxl"}
)
"""Suffixes of pictures in a folder that is searched; a file that the user names is opened with any suffix."""

_MAX_PATHS_TO_FOLDER = 100
"""A folder that links reach by more paths than this is refused, because the number of paths grows exponentially."""


@dataclass(frozen=True)
class _Folder:
    """A folder to search: its relative path, (device, inode) of the folders above it, and whether it is hidden."""

    path: str
    identities: frozenset[tuple[int, int]]
    hidden: bool


def list_pictures(folder: str | Path) -> list[str]:
    """Return the relative paths of the photographs below a folder, sorted by their parts.

    Symbolic links are followed, except in a circle. A path with a picture's suffix that cannot be read (a broken link,
    a pipe) is included, so that its error is reported later. Hidden files and folders are left out with a
    `DatasetWarning`; files that macOS writes for itself beside photographs are left out silently.

    Raises:
        ImageError: a folder cannot be read, or there are no photographs.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from shapleycam.images.folders import list_pictures
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for name in ("b.png", "a.jpg", "._a.jpg", "notes.txt"):
        ...         Path(folder, name).touch()
        ...     list_pictures(folder)
        ['a.jpg', 'b.png']
    """
    pictures: list[str] = []
    hidden: list[str] = []
    for path, below_dot in walk_files(folder, is_picture):
        (hidden if below_dot else pictures).append(path)
    pictures.sort(key=path_parts)
    if not pictures:
        but = f" that is not hidden ({counted(len(hidden), 'hidden one')})" if hidden else ""
        raise ImageError(
            f"{printable_name(str(folder))}: a folder without pictures{but}; expected files such as .jpg or .png in it"
        )
    warn_of_hidden(str(folder), hidden)
    return pictures


def is_hidden(path: str) -> bool:
    """Return whether a part of a path, separated by "/", begins with a dot.

    Examples:
        >>> from shapleycam.images.folders import is_hidden
        >>> is_hidden(".cache/a.jpg"), is_hidden("photos/a.jpg")
        (True, False)
    """
    return any(part.startswith(".") for part in path.split("/"))


def warn_of_hidden(origin: str, hidden: Sequence[str]) -> None:
    """Issue a `DatasetWarning` about hidden photographs that are left out, if there are any.

    Examples:
        >>> import warnings
        >>> from shapleycam.images.folders import warn_of_hidden
        >>> with warnings.catch_warnings(record=True) as caught:
        ...     warnings.simplefilter("always")
        ...     warn_of_hidden("photos", [".a.jpg"])
        >>> str(caught[0].message)
        'photos: 1 hidden photograph left out (.a.jpg); rename what begins with a dot, if it is wanted'
    """
    if hidden:
        warn(
            DatasetWarning,
            f"{printable_name(origin)}: {counted(len(hidden), 'hidden photograph')} left out "
            f"({printable_name(min(hidden))}{', …' if len(hidden) > 1 else ''}); rename what begins with a dot, if it "
            "is wanted",
        )


def has_pictures(folder: str | Path) -> bool:
    """Return whether there is a photograph that is not hidden below a folder.

    Raises:
        ImageError: a folder cannot be read.

    Examples:
        >>> import tempfile
        >>> from shapleycam.images.folders import has_pictures
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     has_pictures(folder)
        False
    """
    return any(not below_dot for _, below_dot in walk_files(folder, is_picture))


def is_picture(name: str) -> bool:
    """Return whether a file name has a picture's suffix, and is not a file that macOS writes beside pictures.

    Examples:
        >>> from shapleycam.images.folders import is_picture
        >>> is_picture("a.JPG"), is_picture("._a.jpg"), is_picture("a.txt")
        (True, False, False)
    """
    return os.path.splitext(name)[1].lower() in SUFFIXES and not is_companion(name)  # noqa: PTH122  many names


def is_companion(name: str) -> bool:
    """Return whether a name is one of those that macOS gives to its own files and folders beside photographs.

    Examples:
        >>> from shapleycam.images.folders import is_companion
        >>> is_companion("__MACOSX"), is_companion("._a.jpg"), is_companion("a.jpg")
        (True, True, False)
    """
    return name.startswith("._") or name == "__MACOSX"


def path_parts(path: str) -> list[str]:
    """Return the parts of a path on this machine, the key by which paths are sorted.

    Examples:
        >>> import os
        >>> from shapleycam.images.folders import path_parts
        >>> path_parts(os.path.join("cat", "a.jpg"))
        ['cat', 'a.jpg']
    """
    return path.split(os.sep)  # noqa: PTH206  a Path for each of many thousands is slow


def walk_files(root: str | Path, accept: Callable[[str], bool]) -> Iterator[tuple[str, bool]]:
    """Yield (relative path, whether it is hidden) for each file below a folder whose name `accept` accepts, unsorted.

    Symbolic links are followed, except in a circle; a broken link counts as a file.

    Raises:
        ImageError: a folder cannot be read, or links lead to a folder by very many paths.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from shapleycam.images.folders import walk_files
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for name in ("a.csv", ".b.csv", "notes.txt"):
        ...         Path(folder, name).touch()
        ...     sorted(walk_files(folder, lambda name: name.endswith(".csv")))
        [('.b.csv', True), ('a.csv', False)]
    """
    paths_to: Counter[tuple[int, int]] = Counter()
    folders = [_Folder("", frozenset(), hidden=False)]
    while folders:
        folder = folders.pop()
        path = os.path.join(root, folder.path) if folder.path else str(root)  # noqa: PTH118
        identity, entries = _read_folder(path)
        if identity in folder.identities:
            continue
        paths_to[identity] += 1
        if paths_to[identity] > _MAX_PATHS_TO_FOLDER:
            raise ImageError(
                f"{printable_name(path)}: links lead to this folder in over {_MAX_PATHS_TO_FOLDER} ways; expected no "
                "links that lead to each other, remove some"
            )
        for name, is_folder in entries:
            below = os.path.join(folder.path, name)  # noqa: PTH118
            hidden = folder.hidden or name.startswith(".")
            if is_companion(name):
                continue
            if is_folder:
                folders.append(_Folder(below, folder.identities | {identity}, hidden))
            elif accept(name):
                yield below, hidden


def _read_folder(path: str) -> tuple[tuple[int, int], list[tuple[str, bool]]]:
    """Return a folder's (device, inode), and (name, whether it is a folder) for each entry."""
    try:
        status = os.stat(path)  # noqa: PTH116
        with os.scandir(path) as entries:
            listed = [(entry.name, _is_folder(entry)) for entry in entries]
    except OSError as error:
        raise ImageError(
            f"{printable_name(path)}: the folder cannot be read ({error.strerror}); check its permissions"
        ) from None
    return (status.st_dev, status.st_ino), listed


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Return whether an entry is a folder or a link to one; a link to itself is not a folder."""
    try:
        return entry.is_dir()
    except OSError:
        return False
