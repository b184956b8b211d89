"""The columns of results: one row for each image, model, layer, utility and method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import pyarrow as pa

from shapleycam.metrics.table import METRICS, named_quantities

Row: TypeAlias = dict[str, Any]

CURVES = ("insertion_curve", "deletion_curve")
"""Columns of scores along insertion and deletion of pixels, which figures draw."""
LISTS = (*CURVES, "box_iou_curve", "any_box_iou_curve")
"""Columns that hold a list of numbers instead of a single number."""
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
    """Return the schema of results with these metrics: a column for each metric, and a list column for each curve.

    Metrics are fractions, or NaN if undefined. `status` is one of:

    - "ok"; then `message` is a remark if the map is unusual;
    - "error": the image could not be read or explained, `message` says why, and the row stands for all methods;
    - "left out": the class rule excludes the image, `message` says why, and the row stands for all methods.
    """
    lists = [name for name in LISTS if name in named_quantities(metrics)]
    return pa.schema(
        {
            **_COLUMNS,
            **{name: pa.float64() for name in metrics},
            **{name: pa.list_(pa.float32()) for name in lists},
        }
    )


def to_table(rows: Sequence[Mapping[str, Any]], metrics: Sequence[str]) -> pa.Table:
    """Return rows as a table with the schema `schema_for(metrics)`; missing values are null."""
    schema = schema_for(metrics)
    return pa.Table.from_pylist([dict(row) for row in rows], schema=schema)


def metrics_in(columns: Sequence[str]) -> list[str]:
    """Return the columns that are metrics, in the order of the table of metrics."""
    return [name for name in METRICS if name in columns]
