"""`open_folder`: a dataset of the photographs in a folder, with or without a sub-folder for each class."""

from __future__ import annotations

import os
from pathlib import Path

from shapleycam.experiments.datasets.files import FileDataset
from shapleycam.experiments.datasets.folder_labels import label_by_folder
from shapleycam.images import list_pictures
from shapleycam.printable import printable_name


def open_folder(path: Path) -> FileDataset:
    """Return a dataset of all photographs in a folder and its sub-folders, with labels as in `label_by_folder`.

    Raises:
        ImageError: the folder or a sub-folder cannot be read, or there are no photographs.
    """
    pictures = list_pictures(path)
    names = tuple(printable_name(picture.replace(os.sep, "/")) for picture in pictures)
    labels, classes = label_by_folder(names)
    return FileDataset(
        origin=printable_name(str(path)),
        paths=tuple(os.path.join(path, picture) for picture in pictures),  # noqa: PTH118  one Path each is slow
        names=names,
        labels=labels,
        classes=classes,
    )


def open_single(path: Path) -> FileDataset:
    """Return a dataset of one photograph."""
    return FileDataset(printable_name(str(path)), (str(path),), (printable_name(path.name),), (None,))
