"""The form of results: one row an image, model, layer, utility and method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

import pyarrow as pa

from shapleycam.metrics import METRICS
from shapleycam.metrics.table import required_quantities

Row: TypeAlias = dict[str, Any]
Status: TypeAlias = Literal["ok", "error", "left out"]

CURVES = ("insertion_curve", "deletion_curve")
_COLUMNS = {
    "index": pa.int64(),
    "image": pa.string(),
    "model": pa.string(),
    "layer": pa.string(),
    "utility": pa.string(),
    "method": pa.string(),
    "label": pa.int64(),
    "target": pa.int64(),
    "probability": pa.float64(),
    "status": pa.string(),
    "message": pa.string(),
}


def schema_for(metrics: Sequence[str]) -> pa.Schema:
    """The columns of results with these metrics: numbers as fractions, NaN where one is undefined, curves as lists.

    `status` is "ok", "error" (the image could not be read or explained; `message` says why, and the row stands for all
    methods), or "left out" by the class rule. `message` of a good row says what is odd about its map.
    """
    curves = [name for name in CURVES if name in required_quantities(metrics)]
    return pa.schema(
        {
            **_COLUMNS,
            **{name: pa.float64() for name in metrics},
            **{name: pa.list_(pa.float32()) for name in curves},
        }
    )


def table_of(rows: Sequence[Mapping[str, Any]], metrics: Sequence[str]) -> pa.Table:
    """Rows as a table, what a row lacks being null."""
    schema = schema_for(metrics)
    return pa.Table.from_pylist([dict(row) for row in rows], schema=schema)


def metrics_in(columns: Sequence[str]) -> list[str]:
    """Which of a table's columns are metrics, in the order of the table of metrics."""
    return [name for name in METRICS if name in columns]
