"""A folder of photographs, with a sub-folder for each class or without."""

from __future__ import annotations

import os
from pathlib import Path

from shapleycam.experiments.datasets.files import FileDataset
from shapleycam.experiments.datasets.folder_labels import label_by_folder
from shapleycam.images import list_pictures
from shapleycam.printable import printable_name


def open_folder(path: Path) -> FileDataset:
    """Open all photographs below a folder; the label of each is its first sub-folder, None without one.

    `classes` are the sub-folders in sorted order, as torchvision's ImageFolder numbers them, where every photograph
    lies in one.

    Raises:
        ImageError: a folder, or one below it, cannot be read; or there are no photographs.
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
    """Open one photograph as a dataset."""
    return FileDataset(printable_name(str(path)), (str(path),), (printable_name(path.name),), (None,))
