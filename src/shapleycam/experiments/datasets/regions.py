"""`Region`: an annotated object in a photograph, and `masks_of`: its pixels in the network's input."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool
from numpy.typing import NDArray
from torch import Tensor

from shapleycam.errors import ImageError
from shapleycam.images import Box

_EXCHANGING_SIDES = range(5, 9)
"""EXIF orientations that exchange width and height."""


@dataclass(frozen=True, eq=False)
class Region:
    """An annotated object with a box, a mask or both.

    Attributes:
        label: name or number of the object's class; None if the annotation has none.
        box: (left, top, right, bottom), the edges in pixels of `size`; 0 is the left or top edge of the photograph.
        mask: boolean (height, width), of `size`.
        size: (width, height) in pixels of the photograph that was annotated; None for the size of the dataset's
            photograph.
    """

    label: str | int | None
    box: Box | None = None
    mask: NDArray[np.bool_] | None = None
    size: tuple[int, int] | None = None


class Annotations(ABC):
    """Regions in photographs, by the photograph's name in its dataset; annotations can be pickled.

    `origin` is the path as the user gave it.
    """

    origin: str

    @abstractmethod
    def regions_of(self, name: str) -> list[Region] | None:
        """Return the objects in a photograph: an empty list if there are none, None if it is not annotated.

        Raises:
            ImageError: the annotation is damaged, or several annotations match the photograph.
        """

    def source_of(self, name: str) -> Hashable | None:  # noqa: ARG002  # subclasses that match by names use it
        """Return a key of the photograph's annotation, which is equal for photographs with the same annotation.

        None if there is no annotation, or if photographs cannot share one.

        Raises:
            ImageError: several annotations match the photograph.
        """
        return None


def masks_of(
    regions: Sequence[Region], box: Box, photo_size: tuple[int, int], size: tuple[int, int], orientation: int = 1
) -> Bool[Tensor, "n h w"]:
    """Return for each region a mask of the pixels of the network's input whose centre is in it.

    A region consists of its mask, or of its box if it has no mask. Padding around the photograph is in no region.

    Args:
        regions: the objects in the photograph.
        box: (left, top, right, bottom) of the part that the network sees, in pixels of the photograph
            (`Preprocess.box`).
        photo_size: (width, height) of the upright photograph in pixels.
        size: (height, width) of the network's input.
        orientation: the EXIF orientation of the photograph's file; 1 if the photograph is not rotated.

    Raises:
        ImageError: the annotated picture has another aspect ratio than the photograph, for example because only one of
            them is rotated; or the photograph is rotated by its EXIF orientation, and the annotation fits both the
            rotated photograph and the stored pixels.
    """
    for region in regions:
        _check_proportions(region, photo_size)
        _check_turn(region, photo_size, orientation)
    left, top, right, bottom = box
    rows, columns = _centres(top, bottom, size[0]), _centres(left, right, size[1])
    inside = np.outer(_between(rows, 0, photo_size[1]), _between(columns, 0, photo_size[0]))
    masks = np.zeros((len(regions), *size), dtype=np.bool_)
    for mask, region in zip(masks, regions, strict=True):
        mask[:] = _pixels_in(region, rows, columns, photo_size)
    return torch.from_numpy(masks & inside)


def _check_proportions(region: Region, photo_size: tuple[int, int]) -> None:
    """Refuse a region whose picture has another aspect ratio than the photograph.

    Raises:
        ImageError: the aspect ratio differs.
    """
    annotated = _annotated_size(region)
    if annotated is not None and not _is_copy(annotated, photo_size):
        found, expected = (" x ".join(map(str, size)) for size in (annotated, photo_size))
        raise ImageError(
            f"an annotation of {found} pixels for a photograph of {expected} (upright); expected one of the same width "
            "and height, or a copy of it in another size: annotate the upright photograph, all of it"
        )


def _check_turn(region: Region, photo_size: tuple[int, int], orientation: int) -> None:
    """Refuse a region that may refer either to the upright photograph or to the pixels as stored.

    Annotation programs differ in whether they apply the EXIF orientation. If the orientation exchanges width and
    height, the annotation's size shows which is meant. This is not possible if the orientation does not exchange them,
    the photograph is square, or the annotation states no size.

    Raises:
        ImageError: it is not clear which is meant.
    """
    if orientation == 1:
        return
    annotated = _annotated_size(region)
    stored = photo_size[::-1] if orientation in _EXCHANGING_SIDES else photo_size
    if annotated is None or _is_copy(annotated, stored):
        raise ImageError(
            f"a photograph that its EXIF orientation ({orientation}) turns, and an annotation that fits it turned and "
            "as stored; expected a photograph that is stored upright: save its pixels turned, and annotate that file"
        )


def _annotated_size(region: Region) -> tuple[int, int] | None:
    """Return the (width, height) of the picture that was annotated; None if it is not known."""
    return region.size if region.mask is None else (region.mask.shape[1], region.mask.shape[0])


def _is_copy(annotated: tuple[int, int], photo_size: tuple[int, int]) -> bool:
    """Return whether two sizes have the same aspect ratio, up to rounding of each side to whole pixels."""
    return abs(annotated[0] * photo_size[1] - annotated[1] * photo_size[0]) <= max(photo_size)


def _pixels_in(
    region: Region, rows: NDArray[np.float64], columns: NDArray[np.float64], photo_size: tuple[int, int]
) -> NDArray[np.bool_]:
    """Return a mask of the points `rows` x `columns` of the photograph that lie in a region."""
    width, height = photo_size
    if region.mask is not None:
        mask_height, mask_width = region.mask.shape
        y = np.floor(rows * mask_height / height).astype(int).clip(0, mask_height - 1)
        x = np.floor(columns * mask_width / width).astype(int).clip(0, mask_width - 1)
        pixels: NDArray[np.bool_] = region.mask[np.ix_(y, x)]
        return pixels
    if region.box is None:
        return np.zeros((len(rows), len(columns)), dtype=np.bool_)
    left, top, right, bottom = region.box
    region_width, region_height = region.size or photo_size
    return np.outer(
        _between(rows * region_height / height, top, bottom), _between(columns * region_width / width, left, right)
    )


def _centres(start: float, end: float, count: int) -> NDArray[np.float64]:
    """Return the centres of `count` equal cells from `start` to `end`."""
    steps = np.arange(count, dtype=np.float64) + 0.5
    return steps * ((end - start) / count) + start


def _between(points: NDArray[np.float64], start: float, end: float) -> NDArray[np.bool_]:
    return (points >= start) & (points < end)
