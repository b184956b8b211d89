"""`mean_curves`: averages insertion and deletion curves over images, for each method."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import sqrt

import numpy as np
import polars as pl

from shapleycam.experiments.results.resampling import Array
from shapleycam.experiments.rows import CURVES
from shapleycam.intervals import student_quantile

_KEY = ("model", "layer", "utility", "method")


@dataclass(frozen=True)
class MeanCurve:
    """The mean curve of a method for a model at a layer with a utility.

    Attributes:
        model: name of the network.
        layer: name of the layer.
        utility: name of the utility.
        method: name of the method.
        curve: "insertion_curve" or "deletion_curve".
        lengths: the distinct lengths of the images' curves, ascending; if there are several, there is no mean.
        mean: the mean curve (points,) over images with finite curves; (0,) if there is no mean.
        half: half of each point's 95% interval (points,), by Student's distribution; NaN for a single image.
    """

    model: str
    layer: str
    utility: str
    method: str
    curve: str
    lengths: tuple[int, ...]
    mean: Array
    half: Array


def mean_curves(frames: Iterable[pl.DataFrame]) -> list[MeanCurve]:
    """Return the mean curves of rows in several frames; each frame has all rows of its models.

    If `frames` is a generator, only one frame at a time is in memory.

    Examples:
        >>> import polars as pl
        >>> from shapleycam.experiments.results.mean_curves import mean_curves
        >>> group = {"model": "vgg16", "layer": "last-conv", "utility": "rest", "method": "gradcam", "status": "ok"}
        >>> rows = pl.DataFrame([{**group, "insertion_curve": curve} for curve in ([0.0, 0.5], [0.5, 1.0])])
        >>> mean_curves([rows])[0].mean.tolist()
        [0.25, 0.75]
    """
    return [curve for rows in frames for curve in _mean_curves(rows)]


def _mean_curves(rows: pl.DataFrame) -> Iterator[MeanCurve]:
    for name in (name for name in CURVES if name in rows.columns):
        measured = rows.lazy().filter(pl.col("status") == "ok", pl.col(name).is_not_null())
        for key in measured.select(_KEY).unique(maintain_order=True).collect().rows():
            conditions = [pl.col(column) == part for column, part in zip(_KEY, key, strict=True)]
            column = measured.filter(*conditions).select(pl.col(name).cast(pl.List(pl.Float64))).collect()[name]
            lengths = tuple(column.list.len().unique().sort().to_list())
            values = column.list.to_array(lengths[0]).to_numpy() if len(lengths) == 1 else np.empty((0, 0))
            mean, half = mean_and_half_width(values[np.isfinite(values).all(1)])
            model, layer, utility, method = key
            yield MeanCurve(model, layer, utility, method, name, lengths, mean, half)


def mean_and_half_width(values: Array) -> tuple[Array, Array]:
    """Return the mean of each column (n, columns), and half of its 95% interval (Student).

    The interval is NaN for n = 1. Both are empty for n = 0.
    """
    n = len(values)
    if n < 2:
        return values.sum(0) if n else np.empty(0), np.full(values.shape[1] if n else 0, np.nan)
    half: Array = student_quantile(n) * values.std(0, ddof=1) / sqrt(n)
    return values.mean(0), half
