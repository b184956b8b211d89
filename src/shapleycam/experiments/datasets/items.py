"""Any dataset that gives (PIL image, label) by number."""

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
from shapleycam.experiments.datasets.dataset import Dataset, Label, one_line
from shapleycam.experiments.datasets.files import file_mark

_LABELS = ("targets", "_labels", "labels", "y", "samples", "_samples")
_FILES = ("samples", "_samples", "imgs", "images", "_images", "_image_files")
"""Where datasets keep their targets and their files; each is believed only where it agrees with the items."""


@dataclass(frozen=True, eq=False, repr=False)
class Items(Dataset):
    """A dataset of somebody else's, asked by number; `paths` are the files of its pictures where it tells them."""

    origin: str
    items: Any
    names: Sequence[str]
    labels: Sequence[Label]
    classes: Sequence[str] | None = None
    paths: Sequence[Path] | None = None

    def open(self, index: int) -> Image.Image:
        """The item's picture.

        Raises:
            ImageError: the dataset fails to give the item, or gives something else.
        """
        try:
            photo = _parts(self.items[index])[0]
        except Exception as error:  # what a damaged file makes of somebody else's reader
            raise ImageError(f"{self.names[index]}: the dataset cannot read it ({one_line(error)})") from error
        if not isinstance(photo, Image.Image):
            raise ImageError(f"{self.names[index]}: the dataset gives a {type(photo).__name__}; expected a PIL image")
        return photo

    def mark(self, index: int) -> str:
        """Size and a sample of the picture's file, or a hash of its pixels if the dataset holds them all, or ""."""
        if self.paths is not None:
            return file_mark(self.paths[index])
        pixels = getattr(self.items, "data", None)
        if isinstance(pixels, (np.ndarray, torch.Tensor)) and len(pixels) == len(self.names):
            return hashlib.sha256(np.ascontiguousarray(pixels[index]).tobytes()).hexdigest()
        return ""


def items(given: Any, origin: str | None = None) -> Items:
    """Any dataset with a length whose items are a PIL image, or a PIL image and a class number or name.

    Raises:
        OptionError: it has no length or no items, or they are no PIL images.
    """
    origin = origin or type(given).__name__
    if isinstance(given, data.IterableDataset) or not hasattr(given, "__len__") or not hasattr(given, "__getitem__"):
        raise OptionError(
            f"{origin}: the dataset is one to iterate over; expected one with a length and items by number"
        )
    if len(given) == 0:
        raise OptionError(f"{origin}: the dataset has no items; expected at least one")
    _check_first(given, origin)
    paths = _paths(given)
    return Items(
        origin=origin,
        items=given,
        names=_names(paths) if paths is not None else tuple(f"{index:08d}" for index in range(len(given))),
        labels=tuple(_labels(given)),
        classes=_classes(given),
        paths=paths,
    )


def _parts(item: Any) -> tuple[Any, Any]:
    """The picture and the target of an item."""
    if isinstance(item, (tuple, list)):
        return item[0], item[1] if len(item) > 1 else None
    return item, None


def _check_first(given: Any, origin: str) -> None:
    try:
        photo = _parts(given[0])[0]
    except Exception:  # noqa: BLE001  will be said of this image, when it is its turn
        return
    if not isinstance(photo, Image.Image):
        raise OptionError(
            f"{origin}: item 0 holds a {type(photo).__name__}; expected a PIL image and its class: leave transform= out"
        )


def _paths(given: Any) -> tuple[Path, ...] | None:
    """The files of the pictures, where the dataset lists each once."""
    for attribute in _FILES:
        entries = getattr(given, attribute, None)
        if not isinstance(entries, (list, tuple)) or len(entries) != len(given):
            continue
        paths = [entry[0] if isinstance(entry, tuple) and entry else entry for entry in entries]
        listed = all(isinstance(path, (str, Path)) for path in paths) and len(set(paths)) == len(paths)
        if listed and Path(paths[0]).is_file():
            return tuple(Path(os.path.abspath(path)) for path in paths)  # noqa: PTH100
    return None


def _names(paths: Sequence[Path]) -> tuple[str, ...]:
    around = os.path.commonpath([path.parent for path in paths])
    return tuple(path.relative_to(around).as_posix() for path in paths)


def _labels(given: Any) -> Iterable[Label]:
    """From the list that the dataset keeps, where its ends agree with the items; otherwise from every item."""
    for attribute in _LABELS:
        entries = getattr(given, attribute, None)
        if isinstance(entries, (list, tuple, np.ndarray, torch.Tensor)) and len(entries) == len(given):
            labels = [_label(entry) for entry in entries]
            ends = {0, len(labels) - 1}
            if all(labels[end] is not None and labels[end] == _item_label(given, end) for end in ends):
                return labels
    return [_item_label(given, index) for index in range(len(given))]


def _label(entry: Any) -> Label:
    """One entry of a list of targets, or of (path, target)."""
    return _class(entry[1] if isinstance(entry, tuple) and len(entry) == 2 else entry)


def _item_label(given: Any, index: int) -> Label:
    with contextlib.suppress(Exception):  # one that cannot be read has no label, and will be said to be unreadable
        return _class(_parts(given[index])[1])
    return None


def _class(target: Any) -> Label:
    """A class number or name; None for what is neither, such as the boxes of a detection dataset."""
    if target is None or isinstance(target, (str, bool)):
        return None if isinstance(target, bool) else target
    with contextlib.suppress(TypeError, ValueError):
        return whole_number(target)
    return None


def _classes(given: Any) -> tuple[str, ...] | None:
    """The dataset's class names; several names of one class are joined by commas."""
    classes = getattr(given, "classes", None) or getattr(getattr(given, "dataset", None), "classes", None)
    if not isinstance(classes, (list, tuple)):
        return None
    joined = [", ".join(entry) if isinstance(entry, tuple) else entry for entry in classes]
    return tuple(joined) if all(isinstance(name, str) for name in joined) else None
