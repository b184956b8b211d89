"""`read_regions`: reads objects from the mask of a photograph, a PNG picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from shapleycam.errors import ImageError
from shapleycam.experiments.datasets.annotations.base import check_masks, read_content
from shapleycam.experiments.datasets.dataset import open_encoded_image
from shapleycam.experiments.datasets.regions import Region
from shapleycam.foreign_errors import convert_errors
from shapleycam.images import check_before_decoding, read_orientation
from shapleycam.images.sample_format import read_sample_format
from shapleycam.wording import on_one_line

VOID = 255
"""The value of pixels without a class, such as the outlines in VOC's segmentation."""

_MAX_VALUES = 256
"""Maximum number of distinct values of a mask; a picture with more values is a photograph."""


def read_regions(path: Path) -> list[Region]:
    """Return a region for each value in a photograph's mask; 0 is the background.

    If 1 or 255 is the only other value, and the mask has no palette, the region has no label. Otherwise the label of a
    region is its value, and pixels of value 255 belong to no region.

    Raises:
        ImageError: the file cannot be read, or is not a mask.
    """
    values, palette = _read_values(path)
    size = (values.shape[1], values.shape[0])
    labels = [int(value) for value in np.unique(values) if value != 0]
    if len(labels) == 1 and labels[0] in {1, VOID} and not palette:
        return [Region(None, mask=values != 0, size=size)]
    if len(labels) > _MAX_VALUES:
        raise ImageError(f"{path}: {len(labels)} different values; expected a mask of at most {_MAX_VALUES}")
    check_masks(str(path), len(labels), *size)
    return [Region(value, mask=values == value, size=size) for value in labels if value != VOID]


def _read_values(path: Path) -> tuple[NDArray[Any], bool]:
    """Return the values of a mask (height, width), and whether they are indices of a palette."""
    image = open_encoded_image(read_content(path), str(path))
    check_before_decoding(image, str(path))
    depth = read_sample_format(image).depth if image.mode == "L" else None
    with convert_errors(
        lambda error: ImageError(f"{path}: damaged or cut short ({on_one_line(error)}); get the mask again")
    ):
        orientation, values = read_orientation(image), _to_numbers(image)
    if values.ndim != 2:
        raise ImageError(f"{path}: a mask in colours ({image.mode}); expected grey, or numbers of a palette")
    if orientation != 1:
        raise ImageError(
            f"{path}: a mask with an EXIF orientation ({orientation}), which programs follow or not; save its pixels "
            "turned, without an orientation"
        )
    _check_depth(values, depth, path)
    return values, image.mode == "P"


def _check_depth(values: NDArray[Any], depth: int | None, path: Path) -> None:
    """Refuse grey masks of 2 or 4 bits: some programs read values as 1, 2, 3, others scale them to 85, 170, 255."""
    if depth in {2, 4} and set(np.unique(values).tolist()) - {0, VOID}:
        raise ImageError(
            f"{path}: a grey mask of {depth} bits, whose numbers programs read as they are or scaled up to 255; "
            "convert it to 8 bits, or to numbers of a palette"
        )


def _to_numbers(image: Image.Image) -> NDArray[Any]:
    """Return the pixels of an image as (height, width), or as (height, width, channels) if it has colours."""
    values = np.asarray(image)
    grey = image.mode == "RGB" and (values == values[..., :1]).all()
    return values[..., 0] if grey else values
