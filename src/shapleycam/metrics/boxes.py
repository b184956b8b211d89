"""Overlap of boxes around the hot parts of a heatmap with the objects' boxes, at many thresholds.

A box is (top, left, bottom, right) in whole pixels; `bottom` and `right` are exclusive.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from shapleycam.metrics.maps import Maps, Score

THRESHOLDS = 50
"""A map is cut at 0, 0.02, ... 0.98 of its maximum; Choe 2020 cuts at 1,000 thresholds."""
Boxes: TypeAlias = NDArray[np.int64]
IouCurve: TypeAlias = Float[Tensor, "b thresholds"]
_WITH_DIAGONALS = np.ones((3, 3), dtype=np.int8)
"""Pixels that touch at a corner belong together, as in OpenCV's contours, which the authors' code uses."""


class IouCurves(NamedTuple):
    """The overlap at each threshold: of the box of the map's largest part, and the best over all parts."""

    largest: IouCurve
    best: IouCurve


def iou_curves(heatmap: Maps, object_masks: Bool[Tensor, "b n h w"]) -> IouCurves:
    """Return the intersection over union of the map's boxes with the best-fitting object's box.

    At each threshold the pixels above it form connected parts, each with its bounding box. Without such pixels the
    overlap is 0; for an image without objects it is NaN. An object's box is the bounding box of its mask.
    """
    pairs = zip(heatmap.cpu().numpy(), object_masks.cpu().numpy(), strict=True)
    of_images = [_iou_curves_of(*pair) for pair in pairs]
    largest, best = (torch.from_numpy(np.stack(curves)).to(heatmap.device) for curves in zip(*of_images, strict=True))
    return IouCurves(largest, best)


def best_box_iou(box_iou_curve: IouCurve) -> Score:
    """Return the overlap of the box of the map's largest part, at the best threshold for the image."""
    return box_iou_curve.amax(1)


def best_any_box_iou(any_box_iou_curve: IouCurve) -> Score:
    """Return the best overlap over all parts of the map, at the best threshold for the image."""
    return any_box_iou_curve.amax(1)


def _iou_curves_of(
    heatmap: NDArray[np.floating[Any]], object_masks: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return both curves (thresholds,) of one image."""
    objects = np.array([_tightest_box(mask) for mask in object_masks if mask.any()], dtype=np.int64).reshape(-1, 4)
    largest, best = np.zeros(THRESHOLDS, dtype=np.float64), np.zeros(THRESHOLDS, dtype=np.float64)
    if not len(objects):
        return largest + np.nan, best + np.nan
    for step, threshold in enumerate(np.arange(THRESHOLDS) / THRESHOLDS * heatmap.max()):
        parts, areas = _parts_above(heatmap, threshold)
        if len(parts):
            fits = _overlaps(parts, objects).max(1)
            largest[step], best[step] = fits[areas.argmax()], fits.max()
    return largest, best


def _parts_above(heatmap: NDArray[np.floating[Any]], threshold: float) -> tuple[Boxes, NDArray[np.int64]]:
    """Return the boxes (n, 4) of the connected parts above a threshold, and the number of pixels of each part."""
    labels, _ = ndimage.label(heatmap > threshold, _WITH_DIAGONALS)
    boxes = [(rows.start, columns.start, rows.stop, columns.stop) for rows, columns in ndimage.find_objects(labels)]
    return np.array(boxes, dtype=np.int64).reshape(-1, 4), np.bincount(labels.ravel())[1:]


def _tightest_box(mask: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1


def _overlaps(first: Boxes, second: Boxes) -> NDArray[np.float64]:
    """Return the intersection over union of all pairs of boxes, (first, second)."""
    top_left = np.maximum(first[:, None, :2], second[None, :, :2])
    bottom_right = np.minimum(first[:, None, 2:], second[None, :, 2:])
    common = (bottom_right - top_left).clip(0).prod(2)
    overlaps: NDArray[np.float64] = common / (_areas(first)[:, None] + _areas(second)[None] - common)
    return overlaps


def _areas(boxes: Boxes) -> NDArray[np.int64]:
    areas: NDArray[np.int64] = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    return areas
