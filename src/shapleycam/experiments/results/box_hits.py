"""MaxBoxAcc (Choe 2020, arXiv:2007.04178): the accuracy of boxes at the best threshold for all images together.

A box is accurate if its intersection over union (IoU) with the object's box is large enough. MaxBoxAcc is computed from
"parts": for each threshold of the maps, the fraction of images whose box is accurate. The parts are read from the lists
of IoUs in the rows. The name of a part consists of the list's column, the required IoU, and the threshold's position.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from shapleycam.experiments.results.resampling import Array

_THRESHOLDS = 50
"""The length of the lists; a test compares it with `metrics.boxes`, which imports torch."""
_REQUIRED_IOUS = (0.3, 0.5, 0.7)
"""The required IoUs over which the second version is averaged."""


def _parts(curve: str, required: float) -> tuple[str, ...]:
    return tuple(f"{curve} {required} {position}" for position in range(_THRESHOLDS))


MAX_BOX_PARTS = _parts("box_iou_curve", 0.5)
MAX_BOX_V2_PARTS = tuple(part for required in _REQUIRED_IOUS for part in _parts("any_box_iou_curve", required))


def stored_column(part: str) -> str:
    """Return the column of the rows from which a part is read.

    Examples:
        >>> from shapleycam.experiments.results.box_hits import stored_column
        >>> stored_column("box_iou_curve 0.5 17"), stored_column("average_drop")
        ('box_iou_curve', 'average_drop')
    """
    return part.partition(" ")[0]


def part_values(part: str) -> pl.Expr:
    """Return the values of a part for each image: the column of a metric, or whether the box is accurate.

    The latter is 1 or 0, NaN if the IoU is undefined, and null if it was not measured.
    """
    column, _, condition = part.partition(" ")
    if not condition:
        return pl.col(part)
    required, position = condition.split(" ")
    iou = pl.col(column).list.get(int(position))
    return pl.when(iou.is_nan()).then(iou).otherwise(iou >= float(required)).cast(pl.Float64).alias(part)


def max_box_accuracy(shares: Array) -> Array:
    """Return the largest accuracy over thresholds: (..., thresholds) -> (...)."""
    largest: Array = shares.max(-1)
    return largest


def max_box_accuracy_v2(shares: Array) -> Array:
    """Return the largest accuracy over thresholds, averaged over IoUs: (..., IoUs · thresholds) -> (...)."""
    largest: Array = shares.reshape(*shares.shape[:-1], len(_REQUIRED_IOUS), _THRESHOLDS).max(-1)
    return np.asarray(largest.mean(-1))
