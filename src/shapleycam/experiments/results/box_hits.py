"""MaxBoxAcc (Choe 2020, arXiv:2007.04178): how often boxes fit, at the threshold that is best for all images together.

Its parts are the shares of images whose box overlaps the object's enough, one part for each threshold of the maps. They
are read off the lists of overlaps in the rows: a part is named by the list, the overlap that is enough, and the
threshold's position.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from shapleycam.experiments.results.resampling import Array

_THRESHOLDS = 50
"""The length of the lists; a test holds it against `metrics.boxes`, which imports torch."""
_ENOUGH = (0.3, 0.5, 0.7)
"""Overlaps over which the second version is averaged."""


def _parts(curve: str, enough: float) -> tuple[str, ...]:
    return tuple(f"{curve} {enough} {position}" for position in range(_THRESHOLDS))


MAX_BOX_PARTS = _parts("box_iou_curve", 0.5)
MAX_BOX_V2_PARTS = tuple(part for enough in _ENOUGH for part in _parts("any_box_iou_curve", enough))


def stored_column(part: str) -> str:
    """Return the column of the rows that a part is read from.

    Examples:
        >>> from shapleycam.experiments.results.box_hits import stored_column
        >>> stored_column("box_iou_curve 0.5 17"), stored_column("average_drop")
        ('box_iou_curve', 'average_drop')
    """
    return part.partition(" ")[0]


def part_values(part: str) -> pl.Expr:
    """Return the values of a part: 1 where the overlap is enough, NaN where it is undefined, null if not measured."""
    column, _, hit = part.partition(" ")
    if not hit:
        return pl.col(part)
    enough, position = hit.split(" ")
    overlap = pl.col(column).list.get(int(position))
    return pl.when(overlap.is_nan()).then(overlap).otherwise(overlap >= float(enough)).cast(pl.Float64).alias(part)


def max_box_accuracy(shares: Array) -> Array:
    """Return the largest share over thresholds: (..., thresholds) -> (...)."""
    largest: Array = shares.max(-1)
    return largest


def max_box_accuracy_v2(shares: Array) -> Array:
    """Return the mean over overlaps of the largest share over thresholds: (..., overlaps · thresholds) -> (...)."""
    largest: Array = shares.reshape(*shares.shape[:-1], len(_ENOUGH), _THRESHOLDS).max(-1)
    return np.asarray(largest.mean(-1))
