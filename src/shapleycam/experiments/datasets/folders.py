"""A folder of photographs, with a sub-folder for each class or without."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from shapleycam.errors import ImageError
from shapleycam.experiments.datasets.files import FileDataset
from shapleycam.images import SUFFIXES

_NO_FOLDERS: frozenset[tuple[int, int]] = frozenset()


def open_folder(path: Path) -> FileDataset:
    """Open all photographs below a folder; the label of each is its first sub-folder, None without one.

    `classes` are the sub-folders in sorted order, as torchvision's ImageFolder numbers them, where every photograph
    lies in one.

    Raises:
        ImageError: a folder, or one below it, cannot be read; or there are no photographs.
    """
    pictures = sorted((picture.relative_to(path) for picture in walk_pictures(path)), key=lambda picture: picture.parts)
    if not pictures:
        raise ImageError(f"{path}: a folder without pictures; expected files such as .jpg or .png in it")
    labels = [picture.parts[0] if len(picture.parts) > 1 else None for picture in pictures]
    classes = sorted({label for label in labels if label is not None})
    return FileDataset(
        origin=str(path),
        paths=tuple(path / picture for picture in pictures),
        names=tuple(picture.as_posix() for picture in pictures),
        labels=tuple(labels),
        classes=tuple(classes) if None not in labels else None,
    )


def open_single(path: Path) -> FileDataset:
    """Open one photograph as a dataset."""
    return FileDataset(str(path), (path,), (path.name,), (None,))


def walk_pictures(path: Path, parents: frozenset[tuple[int, int]] = _NO_FOLDERS) -> Iterator[Path]:
    """Yield the files below a folder that have the suffix of a picture, in no order; links are followed, but no circle.

    `parents` are the folders above, by device and inode.

    Raises:
        ImageError: a folder cannot be read.
    """
    try:
        status = path.stat()
        entries = _list_folder(path)
    except OSError as error:
        raise ImageError(f"{path}: the folder cannot be read ({error.strerror}); check its permissions") from None
    identity = (status.st_dev, status.st_ino)
    if identity in parents:
        return
    for entry, is_folder, is_file in entries:
        if is_folder:
            yield from walk_pictures(entry, parents | {identity})
        elif is_file and entry.suffix.lower() in SUFFIXES:
            yield entry


def _list_folder(path: Path) -> list[tuple[Path, bool, bool]]:
    """Return each entry of a folder, whether it is a folder, and whether it is a file.

    A broken link counts as a file, so that the results have a row with its error.
    """
    with os.scandir(path) as entries:
        return [(path / entry.name, entry.is_dir(), entry.is_file() or entry.is_symlink()) for entry in entries]
