"""`group_values`: converts the rows of an evaluation to an array for each model, layer and utility."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shapleycam.errors import OptionError
from shapleycam.experiments.results.box_hits import part_values, stored_column
from shapleycam.experiments.results.cells import MissingResult, ResultGroup, sort_by_table
from shapleycam.experiments.results.statistics import Array
from shapleycam.models.paper_networks import NETWORKS

_LAYERS = ("before-pool", "last-conv")
_GROUP_COLUMNS, _ROW_COLUMNS = ("model", "layer", "utility"), ("method", "index")
HEADS = ("index", "image", "model", "layer", "utility", "method", "status", "message")


@dataclass(frozen=True)
class TableOrder:
    """The order of methods and utilities in tables; other names follow in alphabetical order."""

    methods: Sequence[str]
    utilities: Sequence[str]

    @classmethod
    def of_all(cls) -> TableOrder:
        """Return the order of the table of methods and of the table of utilities."""
        from shapleycam.cams import METHODS  # which imports torch
        from shapleycam.utilities import UTILITIES

        return cls(tuple(METHODS), tuple(UTILITIES))


@dataclass(frozen=True)
class GroupValues:
    """The values of one group.

    Attributes:
        group: model, layer, utility and number of images.
        methods: the names of the methods.
        values: (images, methods, metrics); NaN if the value is undefined or was not measured.
        measured: whether each value was measured: there is a row, and the value in it is not null.
    """

    group: ResultGroup
    methods: list[str]
    values: Array
    measured: NDArray[np.bool_]


def group_values(rows: pl.DataFrame, names: Sequence[str], order: TableOrder) -> Iterator[GroupValues]:
    """Yield the values of each model, layer and utility, so that only one group is in memory."""
    good = rows.lazy().filter(pl.col("status") == "ok")
    for key in good.select(_GROUP_COLUMNS).unique().collect().rows():
        conditions = [pl.col(name) == part for name, part in zip(_GROUP_COLUMNS, key, strict=True)]
        yield _values_of(
            good.filter(*conditions).select(*_ROW_COLUMNS, *map(part_values, names)).collect(), key, names, order
        )


def sort_groups(groups: Iterable[ResultGroup], order: TableOrder) -> list[ResultGroup]:
    """Return groups sorted as in tables: by layer, utility and network."""
    groups = list(groups)
    layers = sort_by_table((group.layer for group in groups), _LAYERS)
    utilities = sort_by_table((group.utility for group in groups), order.utilities)
    models = sort_by_table((group.model for group in groups), NETWORKS)
    return sorted(
        groups,
        key=lambda group: (layers.index(group.layer), utilities.index(group.utility), models.index(group.model)),
    )


def _values_of(rows: pl.DataFrame, key: tuple[str, str, str], names: Sequence[str], order: TableOrder) -> GroupValues:
    methods = sort_by_table(rows["method"].unique(), order.methods)
    images, row = np.unique(rows["index"].to_numpy(), return_inverse=True)
    column = rows["method"].cast(pl.Enum(methods)).to_physical().to_numpy()
    present = np.zeros((len(images), len(methods)), dtype=bool)
    present[row, column] = True
    if present.sum() != len(rows):
        raise OptionError(
            f"{len(rows)} results of {' at '.join(key[:2])} are of {present.sum()} images and methods; expected one "
            "each: give each run once"
        )
    values, measured = np.full((*present.shape, len(names)), np.nan), np.zeros((*present.shape, len(names)), dtype=bool)
    for index, name in enumerate(names):
        values[row, column, index] = rows[name].cast(pl.Float64).to_numpy()
        measured[row, column, index] = rows[name].is_not_null().to_numpy()
    return GroupValues(ResultGroup(*key, len(images)), methods, values, measured)


def find_missing(rows: pl.DataFrame) -> Iterator[MissingResult]:
    """Yield the images without results, each once for each model and layer."""
    fields = ("model", "layer", "index", "image", "status", "message")
    without_result = rows.filter(pl.col("status") != "ok").select(fields)
    without_result = without_result.with_columns(pl.col(pl.Categorical).cast(pl.String)).sort(fields, nulls_last=True)
    for row in without_result.unique(subset=fields[:5], keep="first", maintain_order=True).iter_rows(named=True):
        yield MissingResult(**{**row, "message": " ".join((row["message"] or "").split())})


def check_columns(rows: pl.DataFrame, names: Sequence[str]) -> None:
    """Refuse rows that lack a required column or the column of a metric.

    Raises:
        OptionError: a column is missing, or there are no metrics.
    """
    missing = [name for name in (*HEADS, *map(stored_column, names)) if name not in rows.columns]
    if missing:
        raise OptionError(
            f"the results have no column {missing[0]!r}; expected rows of evaluate, with every metric asked"
        )
    if not names:
        raise OptionError("no metrics were given to summarise; expected at least one")
