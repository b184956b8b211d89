"""The images on which methods differ most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from shapleycam.cams.table import METHODS, canonical_method
from shapleycam.errors import OptionError, nearest
from shapleycam.experiments.results.cells import in_order
from shapleycam.experiments.results.grouping import refuse_missing
from shapleycam.metrics import METRICS
from shapleycam.metrics.table import metric_of
from shapleycam.names import canonical_name
from shapleycam.utilities import UTILITIES

_WHOSE = ("model", "layer", "utility")


@dataclass(frozen=True)
class Disagreement:
    """How far methods are apart on one image by one metric, which says what is best; values are as in the rows.

    `spread` is from the worst method's value to the best one's, above 0.
    """

    index: int
    image: str
    model: str
    best: str
    best_value: float
    worst: str
    worst_value: float
    spread: float


def disagreements(
    rows: pl.DataFrame,
    metric: str,
    *,
    model: str,
    layer: str,
    utility: str,
    methods: Sequence[str] | None = None,
    count: int = 8,
) -> list[Disagreement]:
    """The `count` images on which methods differ most by a metric, the widest spread first.

    `rows` are an evaluation's (see `experiments.rows`). `methods` are those compared; None for all but those of random
    weights, which disagree by design. Images on which fewer than two have a value, or all the same, are left out. Of
    methods that share the best or the worst value the first in the order of tables is named.

    Raises:
        OptionError: an unknown metric, a column is missing, or no rows of this model, layer, utility or method.
    """
    metric = metric_of(metric).name
    utility = canonical_name(utility, UTILITIES) or utility
    refuse_missing(rows, [metric])
    measured = _measured(rows, (model, layer, utility))
    compared = pl.Enum(_compared(in_order(measured["method"].unique(), METHODS), methods))
    value, method = pl.col(metric), pl.col("method")
    best, worst = (value.arg_max(), value.arg_min())[:: 1 if METRICS[metric].better == "high" else -1]
    found = (
        measured.filter(method.is_in(compared.categories.to_list()), value.cast(pl.Float64).is_finite())
        .sort(method.cast(compared))  # so that the first of those with the same value is the first in the tables
        .group_by("index", "image")
        .agg(best=method.get(best), best_value=value.get(best), worst=method.get(worst), worst_value=value.get(worst))
        .with_columns(spread=(pl.col("best_value") - pl.col("worst_value")).abs())
        .filter(pl.col("spread") > 0)
        .sort("spread", "index", descending=[True, False])
    )
    return [Disagreement(model=model, **row) for row in found.head(count).iter_rows(named=True)]


def _measured(rows: pl.DataFrame, whose: tuple[str, str, str]) -> pl.DataFrame:
    """The good rows of one model, layer and utility."""
    good = rows.with_columns(pl.col(pl.Categorical).cast(pl.String)).filter(status="ok")
    here = good.filter(pl.col(name) == part for name, part in zip(_WHOSE, whose, strict=True))
    if here.is_empty():
        known = sorted(", ".join(each) for each in good.select(_WHOSE).unique().rows())
        raise OptionError(f"no results of {', '.join(whose)}; expected one of: {'; '.join(known) or 'none is there'}")
    return here


def _compared(there: Sequence[str], asked: Sequence[str] | None) -> list[str]:
    """The methods to compare, in the order of tables."""
    if asked is None:
        return [name for name in there if name not in METHODS or METHODS[name].derivative != "random"]
    chosen = {name: canonical_method(name) or name for name in asked}
    if unknown := [name for name, own in chosen.items() if own not in there]:
        raise OptionError(f"method {unknown[0]!r} is not in these results; {nearest(unknown[0], there)}")
    return [name for name in there if name in chosen.values()]
