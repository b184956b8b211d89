"""Rows of an evaluation, written by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from shapleycam.metrics import METRICS
from shapleycam.metrics.metric import Metric

TEXT = ("image", "model", "layer", "utility", "method", "status", "message")


def metrics_named(*names: str) -> list[Metric]:
    return [METRICS[name] for name in names]


def measured_rows(
    values: Mapping[str, Mapping[str, Sequence[float | None]]],
    model: str = "resnet18",
    layer: str = "before-pool",
    utility: str = "rest",
) -> list[dict[str, Any]]:
    """Return the rows of {method: {metric: one value per image}}."""
    return [
        {
            "index": index,
            "image": f"{index}.jpg",
            "model": model,
            "layer": layer,
            "utility": utility,
            "method": method,
            "label": 0,
            "target": 0,
            "probability": 0.5,
            "status": "ok",
            "message": None,
            **{metric: column[index] for metric, column in metrics.items()},
        }
        for method, metrics in values.items()
        for index in range(len(next(iter(metrics.values()))))
    ]


def failed_row(
    index: int, status: str, message: str | None, model: str = "resnet18", layer: str = "before-pool"
) -> Any:
    """Return the row of an image without results, which stands for all methods."""
    head = {"index": index, "image": f"{index}.jpg", "model": model, "layer": layer}
    return {**head, "status": status, "message": message}


def frame(*rows: dict[str, Any]) -> pl.DataFrame:
    table = pl.from_dicts(list(rows), infer_schema_length=None)
    missing = [pl.lit(None, pl.String).alias(name) for name in TEXT if name not in table.columns]
    return table.with_columns(missing).with_columns(pl.col(name).cast(pl.String) for name in TEXT)
