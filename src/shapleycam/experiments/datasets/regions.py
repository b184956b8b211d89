"""Where an object is on a photograph, and the same place on the network's input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool
from numpy.typing import NDArray
from torch import Tensor

from shapleycam.images import Box


@dataclass(frozen=True, eq=False)
class Region:
    """One object: its label, and its box, its mask or both.

    `size` is the (width, height) in pixels of the photograph that was annotated, None where that is not stated: then it
    is the photograph's own. `box` is (left, top, right, bottom), the edges in pixels of that size, 0 the left and top
    edge of the photograph. `mask` is boolean (height, width), of that size.
    """

    label: str | int | None
    box: Box | None = None
    mask: NDArray[np.bool_] | None = None
    size: tuple[int, int] | None = None


def mask_of(
    regions: Sequence[Region], box: Box, photo_size: tuple[int, int], size: tuple[int, int]
) -> Bool[Tensor, "h w"]:
    """Which pixels of the network's input lie on one of the regions, by the place of their centres.

    `box` is the (left, top, right, bottom) of the photograph that the network saw (`Preprocess.box`), `photo_size` the
    photograph's (width, height), both in its pixels; `size` is the input's (height, width). A region with a mask is its
    mask, without one its box. What was added around the photograph is in no region.
    """
    left, top, right, bottom = box
    rows, columns = _centres(top, bottom, size[0]), _centres(left, right, size[1])
    inside = np.outer(_between(rows, 0, photo_size[1]), _between(columns, 0, photo_size[0]))
    covered = np.zeros(size, dtype=np.bool_)
    for region in regions:
        covered |= _covered(region, rows, columns, photo_size)
    return torch.from_numpy(covered & inside)


def _covered(
    region: Region, rows: NDArray[np.float64], columns: NDArray[np.float64], photo_size: tuple[int, int]
) -> NDArray[np.bool_]:
    """Which of the points on `rows` x `columns` of the photograph lie in a region."""
    width, height = photo_size
    if region.mask is not None:
        mask_height, mask_width = region.mask.shape
        down = np.floor(rows * mask_height / height).astype(int).clip(0, mask_height - 1)
        across = np.floor(columns * mask_width / width).astype(int).clip(0, mask_width - 1)
        found: NDArray[np.bool_] = region.mask[np.ix_(down, across)]
        return found
    if region.box is None:
        return np.zeros((len(rows), len(columns)), dtype=np.bool_)
    left, top, right, bottom = region.box
    own_width, own_height = region.size or photo_size
    return np.outer(
        _between(rows * own_height / height, top, bottom), _between(columns * own_width / width, left, right)
    )


def _centres(start: float, end: float, count: int) -> NDArray[np.float64]:
    """The centres of `count` equal cells from `start` to `end`."""
    steps = np.arange(count, dtype=np.float64) + 0.5
    return steps * ((end - start) / count) + start


def _between(places: NDArray[np.float64], start: float, end: float) -> NDArray[np.bool_]:
    return (places >= start) & (places < end)
