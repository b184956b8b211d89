"""Results of several runs as one, where their protocols agree."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import polars as pl

from shapleycam.errors import OptionError, nearest
from shapleycam.experiments.protocol import ASKED, Protocol, differences
from shapleycam.experiments.results import (
    ADCC_OF_MEANS,
    OF_MEANS,
    Column,
    ResultsSummary,
    columns_of,
    parts_of,
    summarise_frames,
)
from shapleycam.experiments.results.grouping import HEADS
from shapleycam.experiments.rows import CURVES, schema_for
from shapleycam.experiments.store import Store
from shapleycam.metrics import METRICS
from shapleycam.metrics.metric import Metric
from shapleycam.metrics.table import canonical_metric, expand

PUBLISHED_IMAGES = 50_000
PUBLISHED_WEIGHTS = ("torchvision, IMAGENET1K_V1", "timm")
"""What a network of the paper's tables says of its origin where it has the weights of the tables."""

_PREPROCESS = "preprocess"
_WHOSE = ("model", "layer", "utility", "method")


def summarise_runs(stores: Sequence[Store], metrics: Sequence[str] | None = None) -> ResultsSummary:
    """The figures of all runs; of all metrics that were measured, unless some are asked for.

    `metrics` are names, "adcc_of_means" among them, or sets ("paper", "all"), of which those count that were measured.

    Raises:
        OptionError: the runs were made by different protocols or on different data, or two have the same figures; a
            metric was not measured, or no image could be.
    """
    _refuse_unlike(stores)
    measured = _measured(stores)
    asked = list(dict.fromkeys(_asked(metrics or measured, measured, stores)))
    columns = columns_of(asked, measured)
    wanted = (*HEADS, *parts_of(columns))
    return summarise_frames((read_rows(stores, model, wanted) for model in _models(stores)), columns)


def read_curves(stores: Sequence[Store]) -> pl.DataFrame | None:
    """The rows of all runs as the figure of curves wants them; None where no run has curves.

    Raises:
        OptionError: as `summarise_runs`.
    """
    names = [name for name in CURVES if any(name in _columns(store) for store in stores)]
    if not names:
        return None
    wanted = (*_WHOSE, "status", *names)
    return pl.concat([read_rows(stores, model, wanted) for model in _models(stores)], how="vertical_relaxed")


def read_rows(stores: Sequence[Store], model: str, columns: Sequence[str]) -> pl.DataFrame:
    """The rows of a model in all runs, with these columns, null where a run has not measured one.

    Raises:
        OptionError: two runs have the same figures.
    """
    having = [store for store in stores if model in store.manifest["order"]]
    frames = [store.model_rows(model, [name for name in columns if name in _columns(store)]) for store in having]
    if len(having) > 1:
        _refuse_twice(having, frames)
    whole = pl.concat(frames, how="diagonal")
    return whole.select(pl.col(name) if name in whole.columns else pl.lit(None).alias(name) for name in columns)


def describe_deviations(stores: Sequence[Store]) -> tuple[str, ...]:
    """Sentences on how runs differ from the published measurements, beside what was measured; none if they do not."""
    published, first = Protocol.paper().as_data(), stores[0]
    models = {name: facts for store in stores for name, facts in store.manifest["models"].items()}
    # each model says which preprocessing it had; where the protocol leaves that to the model, it may be the paper's
    changed = differences(published, first.manifest["protocol"], {*ASKED, _PREPROCESS})
    preprocess = {
        name: "; ".join(differences({_PREPROCESS: published[_PREPROCESS]}, {_PREPROCESS: facts.get(_PREPROCESS)}))
        for name, facts in models.items()
    }
    weights = {
        name: facts.get("origin") or "of unknown origin"
        for name, facts in models.items()
        if facts.get("origin") not in PUBLISHED_WEIGHTS
    }
    images = [] if first.images == PUBLISHED_IMAGES else [f"{first.images:,}, and {PUBLISHED_IMAGES:,} in print"]
    found = {
        "Another protocol than the published one": changed,
        "Another preprocessing than the published one": _grouped(preprocess),
        "Weights that are not known to be the published ones": _grouped(weights),
        "Another number of images": images,
    }
    return tuple(f"{what}: {'; '.join(texts)}." for what, texts in found.items() if texts)


def _grouped(texts: Mapping[str, str]) -> list[str]:
    """What is said of models, once for all of which it is the same; nothing of those of which nothing is said."""
    of: dict[str, list[str]] = {}
    for name, text in texts.items():
        of.setdefault(text, []).append(name)
    return [f"{', '.join(names)} ({text})" for text, names in of.items() if text]


def _models(stores: Sequence[Store]) -> list[str]:
    return list(dict.fromkeys(model for store in stores for model in store.manifest["order"]))


def _columns(store: Store) -> list[str]:
    found: list[str] = schema_for(store.manifest["protocol"]["metrics"]).names
    return found


def _measured(stores: Sequence[Store]) -> list[str]:
    """The metrics that any of the runs has measured, in the order of the table of metrics."""
    found: set[str] = set()
    for store in stores:
        names = store.manifest["protocol"]["metrics"]
        if unknown := [name for name in names if name not in METRICS]:
            raise OptionError(
                f"{store.storage} has a metric {unknown[0]!r} that this version does not know; "
                f"{nearest(unknown[0], METRICS)}: read it by the version that made it, or evaluate again into another "
                "folder"
            )
        found |= set(names)
    return [name for name in METRICS if name in found]


def _asked(names: Sequence[str], measured: Sequence[str], stores: Sequence[Store]) -> Iterator[Metric | Column]:
    """The metrics of these names and sets; of a set, those that were measured."""
    for spelling in names:
        name = canonical_metric(spelling) or spelling
        own = name in METRICS or name == ADCC_OF_MEANS
        needed = OF_MEANS.parts if name == ADCC_OF_MEANS else expand([name])
        missing = [each for each in needed if each not in measured]
        if missing and (own or len(missing) == len(needed)):
            whose = "" if missing == [name] else f" of {name!r}"
            runs = ", ".join(str(store.storage) for store in stores)
            raise OptionError(
                f"metric {missing[0]!r}{whose} was not measured in {runs}; "
                f"expected some of {', '.join(measured)}: choose of these, or evaluate with it into another folder"
            )
        if name == ADCC_OF_MEANS:
            yield OF_MEANS
        else:
            yield from (METRICS[each] for each in needed if each in measured)


def _refuse_unlike(stores: Sequence[Store]) -> None:
    first = stores[0]
    for other in stores[1:]:
        changed = differences(first.manifest["protocol"], other.manifest["protocol"], ASKED)
        changed += differences(first.manifest["dataset"], other.manifest["dataset"])
        models = first.manifest["models"], other.manifest["models"]
        for name in models[0].keys() & models[1].keys():
            changed += [
                f"{name}: {text}" for text in differences(models[0][name], models[1][name], {"layers", "origin"})
            ]
        if changed:
            raise OptionError(
                f"{first.storage} and {other.storage} cannot share a table: {'; '.join(changed)}; give runs of one "
                "protocol"
            )


def _refuse_twice(stores: Sequence[Store], frames: Sequence[pl.DataFrame]) -> None:
    """Refuse the rows of runs of which two have the same figures."""
    seen: dict[tuple[str, ...], Store] = {}
    for store, rows in zip(stores, frames, strict=True):
        for key in rows.select(_WHOSE).drop_nulls().unique().rows():
            if key in seen:
                both = f"{seen[key].storage} and {store.storage}"
                raise OptionError(f"{both} both have {', '.join(key)}; leave one of them out")
            seen[key] = store
