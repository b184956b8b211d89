"""An evaluation's rows as arrays: a table of values for each model, layer and utility, and what has none."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shapleycam.cams.table import METHODS
from shapleycam.errors import OptionError
from shapleycam.experiments.results.cells import Absent, Group, in_order
from shapleycam.experiments.results.statistics import Array
from shapleycam.models import paper
from shapleycam.utilities.table import UTILITIES

_LAYERS = ("before-pool", "last-conv")
_WHOSE, _OF_TABLE = ("model", "layer", "utility"), ("method", "index")
HEADS = ("index", "image", "model", "layer", "utility", "method", "status", "message")


@dataclass(frozen=True)
class Table:
    """The values of one group (images, methods, metrics), and whether they were measured.

    A value is NaN where it is undefined, and also where it was not measured: where there is no row, or null in it.
    """

    group: Group
    methods: list[str]
    values: Array
    measured: NDArray[np.bool_]


def tables_of(rows: pl.DataFrame, names: Sequence[str]) -> Iterator[Table]:
    """A table for each model, layer and utility, one at a time."""
    good = rows.lazy().filter(pl.col("status") == "ok")
    for key in good.select(_WHOSE).unique().collect().rows():
        here = [pl.col(name) == part for name, part in zip(_WHOSE, key, strict=True)]
        yield _table(good.filter(*here).select(*_OF_TABLE, *names).collect(), key, names)


def in_order_of_tables(groups: Iterable[Group]) -> list[Group]:
    """Groups as tables are printed: by layer, utility and network."""
    groups = list(groups)
    layers = in_order((group.layer for group in groups), _LAYERS)
    utilities = in_order((group.utility for group in groups), UTILITIES)
    models = in_order((group.model for group in groups), paper.NETWORKS)
    return sorted(
        groups,
        key=lambda group: (layers.index(group.layer), utilities.index(group.utility), models.index(group.model)),
    )


def _table(rows: pl.DataFrame, key: tuple[str, str, str], names: Sequence[str]) -> Table:
    own = in_order(rows["method"].unique(), METHODS)
    images, row = np.unique(rows["index"].to_numpy(), return_inverse=True)
    column = rows["method"].cast(pl.Enum(own)).to_physical().to_numpy()
    present = np.zeros((len(images), len(own)), dtype=bool)
    present[row, column] = True
    if present.sum() != len(rows):
        raise OptionError(
            f"{len(rows)} results of {' at '.join(key[:2])} are of {present.sum()} images and methods; expected one "
            "each: give each run once"
        )
    values, measured = np.full((*present.shape, len(names)), np.nan), np.zeros((*present.shape, len(names)), dtype=bool)
    for place, name in enumerate(names):
        values[row, column, place] = rows[name].cast(pl.Float64).to_numpy()
        measured[row, column, place] = rows[name].is_not_null().to_numpy()
    return Table(Group(*key, len(images)), own, values, measured)


def absent_in(rows: pl.DataFrame) -> Iterator[Absent]:
    """Each image without results once a model and layer."""
    fields = ("model", "layer", "index", "image", "status", "message")
    bad = rows.filter(pl.col("status") != "ok").select(fields)
    bad = bad.with_columns(pl.col(pl.Categorical).cast(pl.String)).sort(fields, nulls_last=True)
    for row in bad.unique(subset=fields[:5], keep="first", maintain_order=True).iter_rows(named=True):
        yield Absent(**{**row, "message": " ".join((row["message"] or "").split())})


def refuse_missing(rows: pl.DataFrame, names: Sequence[str]) -> None:
    """Refuse rows that cannot be summarised by these metrics."""
    missing = [name for name in (*HEADS, *names) if name not in rows.columns]
    if missing:
        raise OptionError(
            f"the results have no column {missing[0]!r}; expected rows of evaluate, with every metric asked"
        )
    if not names:
        raise OptionError("no metrics were given to summarise; expected at least one")
