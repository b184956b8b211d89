"""A folder of photographs, with a sub-folder for each class or without."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from shapleycam.errors import ImageError
from shapleycam.experiments.datasets.files import Files
from shapleycam.images import SUFFIXES

_NO_FOLDERS: frozenset[tuple[int, int]] = frozenset()


def folder(path: Path) -> Files:
    """All photographs below a folder; the label of each is the first sub-folder on the way to it, None without one.

    `classes` are the sub-folders in sorted order, as torchvision's ImageFolder numbers them, where every photograph
    lies in one.

    Raises:
        ImageError: a folder, or one below it, cannot be read; or there are no photographs.
    """
    found = sorted((picture.relative_to(path) for picture in pictures(path)), key=lambda picture: picture.parts)
    if not found:
        raise ImageError(f"{path}: a folder without pictures; expected files such as .jpg or .png in it")
    labels = [picture.parts[0] if len(picture.parts) > 1 else None for picture in found]
    classes = sorted({label for label in labels if label is not None})
    return Files(
        origin=str(path),
        paths=tuple(path / picture for picture in found),
        names=tuple(picture.as_posix() for picture in found),
        labels=tuple(labels),
        classes=tuple(classes) if None not in labels else None,
    )


def single(path: Path) -> Files:
    """One photograph as a dataset."""
    return Files(str(path), (path,), (path.name,), (None,))


def pictures(path: Path, above: frozenset[tuple[int, int]] = _NO_FOLDERS) -> Iterator[Path]:
    """The files below a folder that are called as pictures are, in no order; links are followed, but not in a circle.

    Raises:
        ImageError: a folder cannot be read.
    """
    try:
        status = path.stat()
        entries = _entries(path)
    except OSError as error:
        raise ImageError(f"{path}: the folder cannot be read ({error.strerror}); check its permissions") from None
    here = (status.st_dev, status.st_ino)
    if here in above:
        return
    for inside, is_folder, is_file in entries:
        if is_folder:
            yield from pictures(inside, above | {here})
        elif is_file and inside.suffix.lower() in SUFFIXES:
            yield inside


def _entries(path: Path) -> list[tuple[Path, bool, bool]]:
    """What lies in a folder, whether it is a folder, and whether a file; a link to nothing counts as a file, so that
    it becomes a row that says so.
    """
    with os.scandir(path) as entries:
        return [(path / entry.name, entry.is_dir(), entry.is_file() or entry.is_symlink()) for entry in entries]
