"""Masks kept as PNG pictures, one a photograph."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from shapleycam.errors import ImageError
from shapleycam.experiments.datasets.annotations.base import Annotations, Index, content
from shapleycam.experiments.datasets.dataset import decoded, one_line
from shapleycam.experiments.datasets.regions import Region
from shapleycam.images import PIXEL_LIMIT

VOID = 255
"""The value of pixels that nobody decided on, such as the outlines of VOC's segmentation."""

_MOST = 256
"""A picture of more values than this is a photograph rather than a mask."""


class Masks(Annotations):
    """A folder of PNG masks matched by their stems, read when they are asked for; 0 is the background.

    A mask of one other value, 1 or 255, is an object without a label, unless it has a palette. Otherwise each value is
    a region with that number as its label, and 255 is void.
    """

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        self.origin = str(folder)
        self._folder, self._names = folder, names
        self._index = Index((name, entry) for entry, name in enumerate(names))

    def of(self, name: str) -> list[Region] | None:
        """A region for each value of the photograph's mask."""
        entry = self._index.entry_of(name)
        return None if entry is None else _regions(self._folder / self._names[entry])


def _regions(path: Path) -> list[Region]:
    values, palette = _values(path)
    size = (values.shape[1], values.shape[0])
    found = [int(value) for value in np.unique(values) if value != 0]
    if len(found) == 1 and found[0] in {1, VOID} and not palette:
        return [Region(None, mask=values != 0, size=size)]
    if len(found) > _MOST:
        raise ImageError(f"{path}: {len(found)} different values; expected a mask of at most {_MOST}")
    return [Region(value, mask=values == value, size=size) for value in found if value != VOID]


def _values(path: Path) -> tuple[NDArray[np.int64], bool]:
    """The numbers in a mask (height, width), and whether they are those of a palette."""
    image = decoded(content(path), str(path))
    if image.width * image.height > PIXEL_LIMIT:
        raise ImageError(f"{path}: over the limit of {PIXEL_LIMIT:,} pixels; make it smaller")
    try:
        values = _numbers(image)
    except Exception as error:  # Pillow's readers raise whatever they stumble over in a damaged file
        raise ImageError(f"{path}: damaged or cut short ({one_line(error)}); get the mask again") from error
    if values.ndim != 2:
        raise ImageError(f"{path}: a mask in colours ({image.mode}); expected grey, or numbers of a palette")
    return values, image.mode == "P"


def _numbers(image: Image.Image) -> NDArray[np.int64]:
    values = np.asarray(image).astype(np.int64)
    grey = image.mode == "RGB" and (values == values[..., :1]).all()
    return values[..., 0] if grey else values
