"""Results of several runs as one, where their protocols agree."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from shapleycam.errors import OptionError
from shapleycam.experiments.protocol import ASKED, differences
from shapleycam.experiments.results import Summary, summarise
from shapleycam.experiments.rows import metrics_in
from shapleycam.experiments.store import Store
from shapleycam.metrics import METRICS

_WHOSE = ("model", "layer", "utility", "method")


def summary_of(stores: Sequence[Store], metrics: Sequence[str] | None = None) -> Summary:
    """The figures of all runs; of all metrics that were measured, unless some are asked for.

    Raises:
        OptionError: as `together`; a metric was not measured, or no image could be.
    """
    rows = together(stores)
    return summarise(rows, [METRICS[name] for name in metrics or metrics_in(rows.columns)])


def together(stores: Sequence[Store]) -> pl.DataFrame:
    """The rows of all runs.

    Raises:
        OptionError: the runs were made by different protocols or on different data, or two have the same figures.
    """
    first = stores[0]
    for other in stores[1:]:
        changed = differences(first.manifest["protocol"], other.manifest["protocol"], ASKED)
        changed += differences(first.manifest["dataset"], other.manifest["dataset"])
        models = first.manifest["models"], other.manifest["models"]
        for name in models[0].keys() & models[1].keys():
            changed += [f"{name}: {text}" for text in differences(models[0][name], models[1][name], {"layers"})]
        if changed:
            raise OptionError(
                f"{first.place} and {other.place} cannot share a table: {'; '.join(changed)}; give runs of one protocol"
            )
    tables = [store.rows() for store in stores]
    seen: dict[tuple[str, ...], Store] = {}
    for store, table in zip(stores, tables, strict=True):
        for key in table.select(_WHOSE).drop_nulls().unique().rows():
            if key in seen:
                raise OptionError(
                    f"{seen[key].place} and {store.place} both have {', '.join(key)}; leave one of them out"
                )
            seen[key] = store
    return pl.concat(tables, how="diagonal")
