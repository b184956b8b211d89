"""The part of a report on the images where the methods differ most, with their maps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from shapleycam.errors import ShapleyCamError
from shapleycam.experiments import Store
from shapleycam.experiments.merging import read_rows
from shapleycam.experiments.results import Column, Disagreement, Summary, disagreements
from shapleycam.experiments.results.grouping import HEADS
from shapleycam.metrics import METRICS
from shapleycam.report.map_reproducer import MapReproducer
from shapleycam.report.pictures import Picture, photo

_LISTED = 8
_FIRST = "adcc"
"""The metric by which methods are compared where it was measured: it is made of three others."""


@dataclass(frozen=True)
class Map:
    """One method's map, and its figure."""

    method: str
    figure: str
    picture: Picture


@dataclass(frozen=True)
class Example:
    """An image with the map of each method."""

    one: Disagreement
    label: str
    picture: Picture
    maps: tuple[Map, ...]


@dataclass(frozen=True)
class DisagreementSection:
    """The images on which methods are furthest apart by a metric, maps of the first of them, or why there are none."""

    column: Column
    images: tuple[tuple[Disagreement, str, str, str], ...]
    examples: tuple[Example, ...]
    reason: str


def disagreement_section(
    stores: Sequence[Store],
    summary: Summary,
    map_reproducer: MapReproducer | None,
    maps: int,
    metric: str | None = None,
) -> DisagreementSection | None:
    """What there is to say of one layer and utility; None where no metric of images was measured.

    Methods are compared by `metric`; None is ADCC where it was measured, and otherwise the first.
    """
    measured = {column.name: column for column in summary.columns if column.name in METRICS}
    first = next(iter(measured.values()), None)
    column = measured.get(metric or _FIRST, first)
    if column is None:
        return None
    found = _found(stores, summary, column.name)
    images = tuple((one, *_texts(one, column)) for one in found)
    examples: list[Example] = []
    reason = ""
    try:
        if map_reproducer is not None:
            examples.extend(_example(stores, summary.settings[0], map_reproducer, one, column) for one in found[:maps])
    except ShapleyCamError as error:
        reason = str(error)
    return DisagreementSection(column, images, tuple(examples), reason)


def _text(value: float, column: Column) -> str:
    """A figure as tables have it."""
    return f"{100 * value:.1f} %" if column.percent else f"{value:.3f}"


def _found(stores: Sequence[Store], summary: Summary, metric: str) -> list[Disagreement]:
    """Over all models, one of which is in memory at a time."""
    found: list[Disagreement] = []
    for group in summary.groups:
        where = {"model": group.model, "layer": group.layer, "utility": group.utility}
        found += disagreements(read_rows(stores, group.model, (*HEADS, metric)), metric, **where, count=_LISTED)
    return sorted(found, key=lambda one: -one.spread)[:_LISTED]


def _example(
    stores: Sequence[Store], setting: tuple[str, str], map_reproducer: MapReproducer, one: Disagreement, column: Column
) -> Example:
    """The maps of one image, made again."""
    layer, utility = setting
    here = {"index": one.index, "layer": layer, "utility": utility, "status": "ok"}
    rows = read_rows(stores, one.model, (*HEADS, "target", column.name))
    own = rows.with_columns(pl.col(pl.Categorical).cast(pl.String)).filter(**here)
    figures = dict(own.select("method", column.name).iter_rows())
    found = map_reproducer.maps(one.model, layer, utility, one.index, own["target"][0])
    first = next(iter(found.values()))
    maps = (
        Map(
            method,
            _or_none(figures.get(method), column),
            photo(e.overlay(on="input"), f"{method} heatmap of {one.image} for {e.label()}"),
        )
        for method, e in found.items()
    )
    return Example(one, first.label(), photo(first.overlay(on="input", opacity=0), one.image), tuple(maps))


def _texts(one: Disagreement, column: Column) -> tuple[str, str, str]:
    """Best, worst and spread."""
    return _text(one.best_value, column), _text(one.worst_value, column), _text(one.spread, column)


def _or_none(value: float | None, column: Column) -> str:
    return "not measured" if value is None else _text(value, column)
