"""Read the results of several runs together, if their protocols agree."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain, combinations, product
from typing import Any

import polars as pl

from shapleycam.errors import OptionError
from shapleycam.experiments.copies_in_words import describe_copies
from shapleycam.experiments.differences import list_differences
from shapleycam.experiments.pending_in_words import Pending, describe_pending
from shapleycam.experiments.results import (
    Column,
    LeadTables,
    ResultsSummary,
    columns_of,
    find_leads,
    parts_of,
    summarise_frames,
)
from shapleycam.experiments.results.box_hits import stored_column
from shapleycam.experiments.results.columns import OF_SEVERAL_MEANS
from shapleycam.experiments.results.grouping import HEADS, TableOrder
from shapleycam.experiments.results.leads import resamples_for
from shapleycam.experiments.results.mean_curves import MeanCurve, mean_curves
from shapleycam.experiments.results.resampling import Resampler
from shapleycam.experiments.rows import CURVES, LISTS, schema_for
from shapleycam.experiments.rules import MEASURED_FIELDS, complete_protocol
from shapleycam.experiments.store import Store
from shapleycam.metrics.metric import Metric
from shapleycam.metrics.table import METRICS, canonical_metric, expand_metrics
from shapleycam.names import canonical_name, nearest

_KEY = ("model", "layer", "utility", "method")
"""Columns that identify a row, in addition to the image."""


def summarise_runs(stores: Sequence[Store], metrics: Sequence[str] | None = None) -> ResultsSummary:
    """Return the means of all runs with their intervals.

    Args:
        stores: the runs.
        metrics: names (also "adcc_of_means"), or sets ("paper", "all"), of which only the measured metrics are used;
            None for all measured metrics.

    Raises:
        OptionError: the runs differ in their protocols or data, two runs have results of the same method and model, a
            metric was not measured, or no image could be measured.
    """
    columns = _columns_of_runs(stores, metrics)
    protocol = _protocol_of(stores[0])
    summary = summarise_frames(_frames(stores, columns), columns, _table_order(stores))
    choices = {name: protocol[name] for name in ("removal", "precision", "smooth")}
    return replace(summary, copies=_copies_in(stores), pending=_pending_in(stores), **choices)


def find_leads_of_runs(
    stores: Sequence[Store], pair: tuple[str, str], metrics: Sequence[str] | None = None
) -> LeadTables:
    """Return the lead of the first method of a pair over the second, in all runs.

    Raises:
        OptionError: as `summarise_runs`, or a method is unknown, or no model was measured with both methods.
    """
    columns = _columns_of_runs(stores, metrics)
    order = _table_order(stores)
    methods = _resolve_pair(pair, order)
    resampler = Resampler(resamples_for(_number_of_groups(stores) * len(columns)))
    leads = find_leads(_frames(stores, columns), columns, methods, order, resampler=resampler)
    remarks = (describe_pending(_pending_in(stores)), describe_copies(_copies_in(stores)))
    return LeadTables(methods, leads, columns, resamples=resampler.resamples, remarks=tuple(filter(None, remarks)))


def _number_of_groups(stores: Sequence[Store]) -> int:
    """Return the number of models, layers and utilities that the runs have together."""
    protocols = [(store.manifest["order"], store.manifest["protocol"]) for store in stores]
    groups = (product(order, protocol["layers"], protocol["utilities"]) for order, protocol in protocols)
    return len(set(chain.from_iterable(groups)))


def _resolve_pair(pair: tuple[str, str], order: TableOrder) -> tuple[str, str]:
    """Return the canonical names of two different methods of the runs."""
    names = [canonical_name(name, order.methods) for name in pair]
    for name, canonical in zip(pair, names, strict=True):
        if canonical is None:
            raise OptionError(f"method {name!r} is not in these results; {nearest(name, order.methods)}")
    first, second = (str(name) for name in names)
    if first == second:
        raise OptionError(f"{first} was given twice, and it has no lead over itself; expected two different methods")
    return first, second


def _columns_of_runs(stores: Sequence[Store], metrics: Sequence[str] | None) -> tuple[Column, ...]:
    """Return the columns of a table of runs whose protocols agree."""
    _refuse_different_protocols(stores)
    measured = _measured_metrics(stores)
    chosen = list(dict.fromkeys(_choose_metrics(metrics or measured, measured, stores)))
    lists = [name for name in LISTS if any(name in _columns(store) for store in stores)]
    return columns_of(chosen, [*measured, *lists])


def _frames(stores: Sequence[Store], columns: Sequence[Column]) -> Iterator[pl.DataFrame]:
    """Yield the rows of each model; the models are read one after the other."""
    needed = (*HEADS, *dict.fromkeys(map(stored_column, parts_of(columns))))
    return (read_rows(stores, model, needed) for model in _models(stores))


def _table_order(stores: Sequence[Store]) -> TableOrder:
    """Return the order of methods and utilities: that of the protocols, one run after the other."""
    protocols = [store.manifest["protocol"] for store in stores]
    methods, utilities = (
        tuple(dict.fromkeys(name for protocol in protocols for name in protocol[key]))
        for key in ("methods", "utilities")
    )
    return TableOrder(methods, utilities)


def read_curves(stores: Sequence[Store]) -> list[MeanCurve] | None:
    """Return the mean insertion and deletion curves of all runs; None if no run has curves.

    Only the rows of one model are in memory at a time.

    Raises:
        OptionError: as `summarise_runs`.
    """
    names = [name for name in CURVES if any(name in _columns(store) for store in stores)]
    if not names:
        return None
    columns = (*_KEY, "status", *names)
    return mean_curves(read_rows(stores, model, columns) for model in _models(stores))


def read_rows(stores: Sequence[Store], model: str, columns: Sequence[str], image: int | None = None) -> pl.DataFrame:
    """Return the rows of a model in all runs, with these columns; columns that a run has not measured are null.

    `image` selects the rows of one image by its position in the dataset; this needs the column `index`.

    Raises:
        OptionError: two runs have results of the same layer, utility and method.
    """
    stores_of_model = [store for store in stores if model in store.manifest["order"]]
    frames = [
        store.model_rows(model, [name for name in columns if name in _columns(store)], image)
        for store in stores_of_model
    ]
    if len(stores_of_model) > 1:
        _refuse_duplicates(stores_of_model, frames)
    merged = pl.concat(frames, how="diagonal")
    return merged.select(pl.col(name) if name in merged.columns else pl.lit(None).alias(name) for name in columns)


def _protocol_of(store: Store) -> dict[str, Any]:
    return complete_protocol(store.manifest["protocol"])


def _copies_in(stores: Sequence[Store]) -> tuple[tuple[str, str], ...]:
    """Return the images that are copies of earlier ones, as recorded by the runs (not by runs of earlier versions)."""
    sessions = [session for store in stores for session in store.manifest["sessions"]]
    return tuple(dict.fromkeys((name, original) for each in sessions for name, original in each.get("copies", ())))


def _pending_in(stores: Sequence[Store]) -> tuple[Pending, ...]:
    """Return the models of the runs for which images are not measured yet."""
    counts = (
        Pending(model, sum(map(len, store.pending(model))), store.images)
        for store in stores
        for model in store.manifest["order"]
    )
    return tuple(each for each in counts if each.count)


def _models(stores: Sequence[Store]) -> list[str]:
    return list(dict.fromkeys(model for store in stores for model in store.manifest["order"]))


def _columns(store: Store) -> list[str]:
    names: list[str] = schema_for(store.manifest["protocol"]["metrics"]).names
    return names


def _measured_metrics(stores: Sequence[Store]) -> list[str]:
    """Return the metrics that at least one of the runs has measured, in the order of the table of metrics."""
    measured: set[str] = set()
    for store in stores:
        names = store.manifest["protocol"]["metrics"]
        if unknown := [name for name in names if name not in METRICS]:
            raise OptionError(
                f"{store.storage} has a metric {unknown[0]!r} that this version does not know; "
                f"{nearest(unknown[0], METRICS)}: read it by the version that made it, or evaluate again into another "
                "folder"
            )
        measured |= set(names)
    return [name for name in METRICS if name in measured]


def _choose_metrics(
    names: Sequence[str], measured: Sequence[str], stores: Sequence[Store]
) -> Iterator[Metric | Column]:
    """Yield the metrics of these names and sets; for a set only the measured metrics."""
    for spelling in names:
        name = canonical_metric(spelling) or spelling
        is_single = name in METRICS or name in OF_SEVERAL_MEANS
        needed = OF_SEVERAL_MEANS[name].metrics if name in OF_SEVERAL_MEANS else expand_metrics([name])
        missing = [metric for metric in needed if metric not in measured]
        if missing and (is_single or len(missing) == len(needed)):
            whole = "" if missing == [name] else f" of {name!r}"
            runs = ", ".join(str(store.storage) for store in stores)
            raise OptionError(
                f"metric {missing[0]!r}{whole} was not measured in {runs}; expected some of {', '.join(measured)}: "
                "choose of these, or evaluate with it into another folder"
            )
        if name in OF_SEVERAL_MEANS:
            yield OF_SEVERAL_MEANS[name]
        else:
            yield from (METRICS[metric] for metric in needed if metric in measured)


def _refuse_different_protocols(stores: Sequence[Store]) -> None:
    """Refuse runs whose protocols, data or models differ, since their numbers cannot be compared."""
    # Every pair, because two later runs may share a model that the first does not have.
    for first, second in combinations(stores, 2):
        changed = list_differences(_protocol_of(first), _protocol_of(second), MEASURED_FIELDS)
        changed += list_differences(*({"dataset": run.manifest["dataset"]} for run in (first, second)))
        changed += _differences_of_models(first.manifest["models"], second.manifest["models"])
        if changed:
            raise OptionError(
                f"{first.storage} and {second.storage} cannot share a table: {'; '.join(changed)}; give runs of one "
                "protocol"
            )


def _differences_of_models(first: Mapping[str, Any], second: Mapping[str, Any]) -> Iterator[str]:
    """Yield the differences between the records of models that both runs have, at layers that both have."""
    for name in sorted(first.keys() & second.keys()):
        layers = [models[name].get("layers", {}) for models in (first, second)]
        common = sorted(layers[0].keys() & layers[1].keys())
        texts = list_differences(first[name], second[name], {"layers", "origin"})
        texts += list_differences(*({"layers": {layer: modules[layer] for layer in common}} for modules in layers))
        yield from (f"{name}: {text}" for text in texts)


def _refuse_duplicates(stores: Sequence[Store], frames: Sequence[pl.DataFrame]) -> None:
    """Refuse runs that both have rows of the same model, layer, utility and method."""
    owners: dict[tuple[str, ...], Store] = {}
    for store, rows in zip(stores, frames, strict=True):
        for key in rows.select(_KEY).drop_nulls().unique().rows():
            if key in owners:
                both = f"{owners[key].storage} and {store.storage}"
                raise OptionError(f"{both} both have {', '.join(key)}; leave one of them out")
            owners[key] = store
