"""An evaluation's rows as arrays: a table of values for each model, layer and utility, and what has none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
_HEADS = ("index", "image", "model", "layer", "utility", "method", "status", "message")


@dataclass(frozen=True)
class Table:
    """The values of one group (images, methods, metrics), NaN where undefined, and whether there is a row."""

    group: Group
    methods: list[str]
    values: Array
    present: NDArray[np.bool_]


def tables_of(rows: pl.DataFrame, names: Sequence[str]) -> Iterator[Table]:
    """A table for each model, layer and utility, in the order of the printed ones."""
    good = rows.filter(pl.col("status") == "ok").select("model", "layer", "utility", "method", "index", *names)
    known = {"layer": _LAYERS, "utility": UTILITIES, "model": paper.NETWORKS, "method": METHODS}
    layers, utilities, models, methods = (in_order(good[name].unique(), order) for name, order in known.items())
    groups = good.partition_by("model", "layer", "utility", as_dict=True)
    for layer in layers:
        for utility in utilities:
            for model in models:
                if (found := groups.get((model, layer, utility))) is not None:
                    yield _table(found, (model, layer, utility), methods, names)


def _table(rows: pl.DataFrame, key: tuple[str, str, str], methods: Sequence[str], names: Sequence[str]) -> Table:
    here = set(rows["method"].unique())
    own = [method for method in methods if method in here]
    images, row = np.unique(rows["index"].to_numpy(), return_inverse=True)
    column = rows["method"].cast(pl.Enum(own)).to_physical().to_numpy()
    present = np.zeros((len(images), len(own)), dtype=bool)
    present[row, column] = True
    if present.sum() != len(rows):
        raise OptionError(
            f"{len(rows)} results of {' at '.join(key[:2])} are of {present.sum()} images and methods; expected one "
            "each: give each run once"
        )
    values = np.full((*present.shape, len(names)), np.nan)
    values[row, column] = rows.select(pl.col(name).cast(pl.Float64) for name in names).to_numpy()
    return Table(Group(*key, len(images)), own, values, present)


def absent_in(rows: pl.DataFrame) -> Iterator[Absent]:
    """Each image without results once a model and layer."""
    fields = ("model", "layer", "index", "image", "status", "message")
    bad = rows.filter(pl.col("status") != "ok").select(fields).sort(fields, nulls_last=True)
    for row in bad.unique(subset=fields[:5], keep="first", maintain_order=True).iter_rows(named=True):
        yield Absent(**{**row, "message": " ".join((row["message"] or "").split())})


def refuse_missing(rows: pl.DataFrame, names: Sequence[str]) -> None:
    """Refuse rows that cannot be summarised by these metrics."""
    missing = [name for name in (*_HEADS, *names) if name not in rows.columns]
    if missing:
        raise OptionError(
            f"the results have no column {missing[0]!r}; expected rows of evaluate, with every metric asked"
        )
    if not names:
        raise OptionError("no metrics were given to summarise; expected at least one")
