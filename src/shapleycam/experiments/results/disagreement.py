"""`find_disagreements`: the images on which methods differ most by a metric."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import polars as pl

from shapleycam.errors import OptionError
from shapleycam.experiments.results.cells import sort_by_table
from shapleycam.experiments.results.grouping import check_columns
from shapleycam.metrics.table import METRICS, metric_of
from shapleycam.names import canonical_name, nearest

_GROUP_COLUMNS = ("model", "layer", "utility")


@dataclass(frozen=True)
class Disagreement:
    """The difference between the best and the worst method on one image by one metric.

    Attributes:
        index: the image's position in the dataset.
        image: the image's name.
        model: the network's name.
        best: the method with the best value.
        best_value: its value, as in the rows.
        worst: the method with the worst value.
        worst_value: its value, as in the rows.
        spread: the absolute difference of the two values, above 0.

    Examples:
        >>> from shapleycam.experiments.results import Disagreement
        >>> Disagreement(3, "cat.jpg", "vgg16", "gradcam", 0.5, "layercam", 0.25, spread=0.25).spread
        0.25
    """

    index: int
    image: str
    model: str
    best: str
    best_value: float
    worst: str
    worst_value: float
    spread: float


def find_disagreements(
    rows: pl.DataFrame,
    metric: str,
    *,
    model: str,
    layer: str,
    utility: str,
    methods: Sequence[str] | None = None,
    count: int = 8,
) -> list[Disagreement]:
    """Return the `count` images on which methods differ most by a metric, largest spread first.

    Images are omitted if fewer than two methods have a value, or if all methods have the same value. If several methods
    share the best or the worst value, the first of them in the table of methods is returned.

    Args:
        rows: rows of an evaluation; see `experiments.rows`.
        metric: the name of a metric.
        model: the name of a network.
        layer: the name of a layer in the rows.
        utility: the name of a utility.
        methods: names of the methods to compare; None for all except baselines with random weights.
        count: maximum number of images.

    Raises:
        OptionError: the metric is unknown, a column is missing, or there are no rows of this model, layer, utility or
            method.

    Examples:
        >>> import polars as pl
        >>> from shapleycam.experiments.results import find_disagreements
        >>> group = {"model": "vgg16", "layer": "last-conv", "utility": "rest"}
        >>> rows = pl.DataFrame(
        ...     [
        ...         {"index": index, "image": f"{index}.jpg", **group, "method": method, "status": "ok", "message": "",
        ...          "complexity": value}
        ...         for index, values in enumerate([(0.2, 0.5), (0.3, 0.4)])
        ...         for method, value in zip(["gradcam", "shapleycam"], values)
        ...     ]
        ... )
        >>> (largest,) = find_disagreements(rows, "complexity", **group, count=1)
        >>> largest.image, largest.best, largest.worst
        ('0.jpg', 'gradcam', 'shapleycam')
    """
    metric = metric_of(metric).name
    utility = canonical_name(utility, rows["utility"].cast(pl.String).drop_nulls().unique()) or utility
    check_columns(rows, [metric])
    measured = _rows_of_group(rows, (model, layer, utility))
    compared = pl.Enum(_methods_to_compare(measured["method"].unique(), methods))
    value, method = pl.col(metric), pl.col("method")
    best, worst = (value.arg_max(), value.arg_min())[:: 1 if METRICS[metric].better == "high" else -1]
    differing = (
        measured.select("index", pl.col("image").cast(pl.String), value, method.cast(compared, strict=False))
        .filter(method.is_not_null(), value.cast(pl.Float64).is_finite())
        .sort(method)  # so that of equal values the first is that of the first method in the table
        .group_by("index", "image")
        .agg(best=method.get(best), best_value=value.get(best), worst=method.get(worst), worst_value=value.get(worst))
        .with_columns(spread=(pl.col("best_value") - pl.col("worst_value")).abs())
        .filter(pl.col("spread") > 0)
        .sort("spread", "index", descending=[True, False])
    )
    return [Disagreement(model=model, **row) for row in differing.head(count).iter_rows(named=True)]


def _rows_of_group(rows: pl.DataFrame, group: tuple[str, str, str]) -> pl.DataFrame:
    """Return the rows with results of one model, layer and utility."""
    good = pl.col("status") == "ok"
    selected = rows.filter(good, *(pl.col(name) == part for name, part in zip(_GROUP_COLUMNS, group, strict=True)))
    if selected.is_empty():
        known = sorted(", ".join(parts) for parts in rows.filter(good).select(_GROUP_COLUMNS).unique().rows())
        raise OptionError(f"no results of {', '.join(group)}; expected one of: {'; '.join(known) or 'none is there'}")
    return selected


def _methods_to_compare(measured: Iterable[str], methods: Sequence[str] | None) -> list[str]:
    """Return the methods to compare, in the order of the table of methods."""
    from shapleycam.cams.table import METHODS, canonical_method  # which import torch

    measured = sort_by_table(measured, METHODS)
    if methods is None:
        return [name for name in measured if name not in METHODS or not METHODS[name].is_baseline]
    canonical_names = {name: canonical_method(name) or name for name in methods}
    if unknown := [name for name, known in canonical_names.items() if known not in measured]:
        raise OptionError(f"method {unknown[0]!r} is not in these results; {nearest(unknown[0], measured)}")
    return [name for name in measured if name in canonical_names.values()]
