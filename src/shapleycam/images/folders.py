"""The photographs below a folder, for the command line and for datasets alike."""

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
    | {".heic", ".heif", ".jxl"}  # which Pillow reads by plugins; without them each is an error, and not overlooked
)
"""What counts as a picture when a folder is searched; a file named by the user is opened whatever it is called."""

_WAYS_TO_A_FOLDER = 100
"""Links that lead to each other in many ways are refused: the ways multiply."""


@dataclass(frozen=True)
class _Folder:
    """A folder to search: its relative path, ("device", inode) of itself and of those above, whether it is hidden."""

    path: str
    identities: frozenset[tuple[int, int]]
    hidden: bool


def list_pictures(folder: str | Path) -> list[str]:
    """Return the relative paths of the photographs below a folder, sorted by their parts.

    Links are followed, but no circle. What has the suffix of a picture and cannot be read (a broken link, a pipe) is
    among them, so that its error is reported. Hidden files and folders are left out with a `DatasetWarning`; what macOS
    and Windows write beside photographs is left out.

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
    """Return whether a part of a path, with "/" between its parts, begins with a dot.

    Examples:
        >>> from shapleycam.images.folders import is_hidden
        >>> is_hidden(".cache/a.jpg"), is_hidden("photos/a.jpg")
        (True, False)
    """
    return any(part.startswith(".") for part in path.split("/"))


def warn_of_hidden(origin: str, hidden: Sequence[str]) -> None:
    """Issue a `DatasetWarning` of hidden photographs that are left out, if there are any.

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
    """Return whether there is a photograph below a folder.

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
    """Return whether a file name has the suffix of a picture, and is not what macOS writes beside each.

    Examples:
        >>> from shapleycam.images.folders import is_picture
        >>> is_picture("a.JPG"), is_picture("._a.jpg"), is_picture("a.txt")
        (True, False, False)
    """
    return os.path.splitext(name)[1].lower() in SUFFIXES and not is_companion(name)  # noqa: PTH122  many names


def is_companion(name: str) -> bool:
    """Return whether macOS writes a file or folder of this name beside photographs, for itself.

    Examples:
        >>> from shapleycam.images.folders import is_companion
        >>> is_companion("__MACOSX"), is_companion("._a.jpg"), is_companion("a.jpg")
        (True, True, False)
    """
    return name.startswith("._") or name == "__MACOSX"


def path_parts(path: str) -> list[str]:
    """Return the parts of a path of this machine, by which paths are sorted.

    Examples:
        >>> import os
        >>> from shapleycam.images.folders import path_parts
        >>> path_parts(os.path.join("cat", "a.jpg"))
        ['cat', 'a.jpg']
    """
    return path.split(os.sep)  # noqa: PTH206  a Path for each of many thousands is slow


def walk_files(root: str | Path, is_wanted: Callable[[str], bool]) -> Iterator[tuple[str, bool]]:
    """Yield the relative path of each file below a folder whose name is wanted, and whether it is hidden, in no order.

    Links are followed, but no circle; a link to nothing counts as a file.

    Raises:
        ImageError: a folder cannot be read, or links lead to one in very many ways.

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
    ways: Counter[tuple[int, int]] = Counter()
    folders = [_Folder("", frozenset(), hidden=False)]
    while folders:
        folder = folders.pop()
        path = os.path.join(root, folder.path) if folder.path else str(root)  # noqa: PTH118
        identity, entries = _read_folder(path)
        if identity in folder.identities:
            continue
        ways[identity] += 1
        if ways[identity] > _WAYS_TO_A_FOLDER:
            raise ImageError(
                f"{printable_name(path)}: links lead to this folder in over {_WAYS_TO_A_FOLDER} ways; expected no "
                "links that lead to each other, remove some"
            )
        for name, is_folder in entries:
            below = os.path.join(folder.path, name)  # noqa: PTH118
            hidden = folder.hidden or name.startswith(".")
            if is_companion(name):
                continue
            if is_folder:
                folders.append(_Folder(below, folder.identities | {identity}, hidden))
            elif is_wanted(name):
                yield below, hidden


def _read_folder(path: str) -> tuple[tuple[int, int], list[tuple[str, bool]]]:
    """Return a folder's device and inode, and of each entry its name and whether it is a folder."""
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
    """Return whether an entry is a folder or a link to one; a link to itself is none."""
    try:
        return entry.is_dir()
    except OSError:
        return False
