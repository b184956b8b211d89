"""`from_items`: datasets from map-style datasets, such as torchvision's, which return (PIL image, label) by index."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import index as whole_number
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.utils import data

from shapleycam.errors import ImageError, OptionError
from shapleycam.experiments.datasets.byte_sources import LocalFile
from shapleycam.experiments.datasets.dataset import Dataset, Label, pixel_hash
from shapleycam.experiments.datasets.relative_names import relative_names
from shapleycam.foreign_errors import convert_errors
from shapleycam.images import raise_image_errors
from shapleycam.printable import printable_name
from shapleycam.regular_files import is_file
from shapleycam.wording import on_one_line

_LABELS = ("targets", "_labels", "labels", "y", "samples", "_samples")
_FILES = ("samples", "_samples", "imgs", "images", "_images", "_image_files")
"""Attributes in which datasets may list targets and files; they are used only if they agree with the items."""


@dataclass(frozen=True, eq=False, repr=False)
class ItemDataset(Dataset):
    """A map-style dataset of another library; `paths` are the files of its pictures, if it lists them."""

    origin: str
    items: Any
    names: Sequence[str]
    labels: Sequence[Label]
    classes: Sequence[str] | None = None
    paths: Sequence[Path] | None = None

    def open(self, index: int) -> Image.Image:
        """Return the item's picture.

        Raises:
            ImageError: the dataset raises an error, or returns no picture.
        """
        with convert_errors(
            lambda error: ImageError(f"{self.names[index]}: the dataset cannot read it ({on_one_line(error)})")
        ):
            photo = _split_item(self.items[index])[0]
        if not isinstance(photo, Image.Image):
            raise ImageError(f"{self.names[index]}: the dataset gives a {type(photo).__name__}; expected a PIL image")
        return photo

    def content_signature(self, index: int) -> str:
        """Return the signature of the picture's file, or a hash of its pixels; "unreadable" if it cannot be read.

        Nothing else shows that an object holds other pictures than when a run began.
        """
        if self.paths is not None:
            return LocalFile(str(self.paths[index])).signature()
        pixels = getattr(self.items, "data", None)
        if isinstance(pixels, (np.ndarray, torch.Tensor)) and len(pixels) == len(self.names):
            return hashlib.sha256(np.ascontiguousarray(pixels[index]).tobytes()).hexdigest()
        try:
            with raise_image_errors(self.names[index]):
                return pixel_hash(self.open(index))
        except ImageError:  # reported in the row of the image
            return "unreadable"


def from_items(source: Any, origin: str | None = None) -> ItemDataset:
    """Return a map-style dataset as a `Dataset`; its items are PIL images, or pairs (PIL image, class number or name).

    Raises:
        OptionError: the dataset has no length or no items, they are not PIL images, or they change at random.
    """
    origin = origin or type(source).__name__
    if isinstance(source, data.IterableDataset) or not hasattr(source, "__len__") or not hasattr(source, "__getitem__"):
        raise OptionError(
            f"{origin}: the dataset is one to iterate over; expected one with a length and items by number"
        )
    if len(source) == 0:
        raise OptionError(f"{origin}: the dataset has no items; expected at least one")
    _check_first(source, origin)
    paths = _paths(source)
    numbers = tuple(f"{index:08d}" for index in range(len(source)))
    dataset = ItemDataset(
        origin=origin,
        items=source,
        names=numbers if paths is None else relative_names(list(map(str, paths))),
        labels=tuple(_labels(source)),
        classes=_classes(source),
        paths=paths,
    )
    _refuse_random(dataset)
    return dataset


def _refuse_random(dataset: ItemDataset) -> None:
    """Refuse a dataset whose first picture is another one each time that it is read.

    Raises:
        OptionError: it is, so that a table would be of pictures that nobody can see again.
    """
    if dataset.content_signature(0) != dataset.content_signature(0):
        raise OptionError(
            f"{dataset.origin}: item 0 is another picture each time it is read; leave random transforms out, so that "
            "figures belong to pictures that can be seen again"
        )


def _split_item(item: Any) -> tuple[Any, Any]:
    """Return the picture and the target of an item."""
    if isinstance(item, (tuple, list)):
        return item[0], item[1] if len(item) > 1 else None
    return item, None


def _check_first(source: Any, origin: str) -> None:
    try:
        photo = _split_item(source[0])[0]
    except Exception:  # noqa: BLE001  reported when this image is opened
        return
    if not isinstance(photo, Image.Image):
        raise OptionError(
            f"{origin}: item 0 holds a {type(photo).__name__}; expected a PIL image and its class: leave transform= out"
        )


def _paths(source: Any) -> tuple[Path, ...] | None:
    """Return the files of the pictures, if the dataset lists them, each once; else None."""
    for attribute in _FILES:
        entries = getattr(source, attribute, None)
        if not isinstance(entries, (list, tuple)) or len(entries) != len(source):
            continue
        paths = [entry[0] if isinstance(entry, tuple) and entry else entry for entry in entries]
        listed = all(isinstance(path, (str, Path)) for path in paths) and len(set(paths)) == len(paths)
        if listed and is_file(paths[0]):
            return tuple(Path(os.path.abspath(path)) for path in paths)  # noqa: PTH100
    return None


def _labels(source: Any) -> Iterable[Label]:
    """Return labels from the dataset's own list if its first and last agree with the items; else from every item."""
    for attribute in _LABELS:
        entries = getattr(source, attribute, None)
        if isinstance(entries, (list, tuple, np.ndarray, torch.Tensor)) and len(entries) == len(source):
            labels = [_label(entry) for entry in entries]
            ends = {0, len(labels) - 1}
            if all(labels[end] is not None and labels[end] == _item_label(source, end) for end in ends):
                return labels
    return [_item_label(source, index) for index in range(len(source))]


def _label(entry: Any) -> Label:
    """Return the label in an entry of a list of targets, or of pairs (path, target)."""
    return _class(entry[1] if isinstance(entry, tuple) and len(entry) == 2 else entry)


def _item_label(source: Any, index: int) -> Label:
    with contextlib.suppress(Exception):  # an unreadable image has no label, and is reported when it is opened
        return _class(_split_item(source[index])[1])
    return None


def _class(target: Any) -> Label:
    """Return a target that is a class number or name; None for others, such as the boxes of a detection dataset."""
    if target is None or isinstance(target, (str, bool)):
        return None if isinstance(target, bool) or target is None else printable_name(target)
    with contextlib.suppress(TypeError, ValueError):
        return whole_number(target)
    return None


def _classes(source: Any) -> tuple[str, ...] | None:
    """Return the dataset's class names; several names of one class are joined by commas."""
    classes = getattr(source, "classes", None) or getattr(getattr(source, "dataset", None), "classes", None)
    if not isinstance(classes, (list, tuple)):
        return None
    joined = [", ".join(entry) if isinstance(entry, tuple) else entry for entry in classes]
    return tuple(map(printable_name, joined)) if all(isinstance(name, str) for name in joined) else None
