"""The section of a report on the images on which methods differ most, with their maps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from shapleycam.errors import ShapleyCamError
from shapleycam.experiments import Store
from shapleycam.experiments.merging import read_rows
from shapleycam.experiments.results import Column, Disagreement, ResultsSummary, find_disagreements
from shapleycam.experiments.results.grouping import HEADS
from shapleycam.metrics import METRICS
from shapleycam.report.map_reproducer import MapReproducer
from shapleycam.report.outcome import figure_text, preferred_column
from shapleycam.report.pictures import Picture, photograph_picture

_LISTED = 8
"""Number of images in the section's table."""


@dataclass(frozen=True)
class ExampleMap:
    """One method's map, and the metric's value as text."""

    method: str
    figure: str
    picture: Picture


@dataclass(frozen=True)
class Example:
    """An image with the map of each method."""

    disagreement: Disagreement
    label: str
    picture: Picture
    maps: tuple[ExampleMap, ...]


@dataclass(frozen=True)
class DisagreementSection:
    """The images on which methods differ most by a metric, and the maps of the first of them.

    Attributes:
        column: the metric.
        images: each disagreement, with its best value, worst value and spread as text.
        examples: the first images with their maps.
        reason: why maps are missing; "" if none are missing.
    """

    column: Column
    images: tuple[tuple[Disagreement, str, str, str], ...]
    examples: tuple[Example, ...]
    reason: str

    @property
    def rows(self) -> list[tuple[str, ...]]:
        """Return the rows of the section's table, as text."""
        return [(d.image, d.model, d.best, best, d.worst, worst, spread) for d, best, worst, spread in self.images]


def disagreement_section(
    stores: Sequence[Store],
    summary: ResultsSummary,
    map_reproducer: MapReproducer | None,
    maps: int,
    metric: str | None = None,
) -> DisagreementSection | None:
    """Return the section for one layer and utility; None if no metric of images was measured.

    Methods are compared by `metric`; by default by ADCC if it was measured, else by the first metric.
    """
    measured = {column.name: column for column in summary.columns if column.name in METRICS}
    column = measured.get(metric or "") or preferred_column(list(measured.values()))
    if column is None:
        return None
    disagreements = _largest_disagreements(stores, summary, column.name)
    images = tuple((disagreement, *_texts(disagreement, column)) for disagreement in disagreements)
    examples: list[Example] = []
    reason = ""
    try:
        if map_reproducer is not None:
            setting = summary.settings[0]
            # A generator, so that if one example fails, the examples before it are in the list already.
            examples.extend(
                _example(stores, setting, map_reproducer, disagreement, column) for disagreement in disagreements[:maps]
            )
    except ShapleyCamError as error:
        reason = str(error)
    return DisagreementSection(column, images, tuple(examples), reason)


def _largest_disagreements(stores: Sequence[Store], summary: ResultsSummary, metric: str) -> list[Disagreement]:
    """Return the largest disagreements over all models; only one model's rows are in memory at a time."""
    disagreements: list[Disagreement] = []
    for group in summary.groups:
        rows = read_rows(stores, group.model, (*HEADS, metric))
        names = {"model": group.model, "layer": group.layer, "utility": group.utility}
        disagreements += find_disagreements(rows, metric, **names, count=_LISTED)
    return sorted(disagreements, key=lambda disagreement: -disagreement.spread)[:_LISTED]


def _example(
    stores: Sequence[Store],
    setting: tuple[str, str],
    map_reproducer: MapReproducer,
    disagreement: Disagreement,
    column: Column,
) -> Example:
    """Return one image with its maps; the maps are computed again."""
    layer, utility = setting
    rows = read_rows(stores, disagreement.model, (*HEADS, "target", column.name), disagreement.index)
    rows = rows.with_columns(pl.col(pl.Categorical).cast(pl.String)).filter(layer=layer, utility=utility, status="ok")
    figures = dict(rows.select("method", column.name).iter_rows())
    explanations = map_reproducer.maps(disagreement.model, layer, utility, disagreement.index, rows["target"][0])
    first = next(iter(explanations.values()))
    maps = (
        ExampleMap(
            method,
            _text_or_missing(figures.get(method), column),
            photograph_picture(
                explanation.overlay(on="input", kind="heatmap"),
                f"{method} heatmap of {disagreement.image} for {explanation.label()}",
            ),
        )
        for method, explanation in explanations.items()
    )
    photograph = photograph_picture(first.overlay(on="input", opacity=0), disagreement.image)
    return Example(disagreement, first.label(), photograph, tuple(maps))


def _texts(disagreement: Disagreement, column: Column) -> tuple[str, str, str]:
    """Return a disagreement's best value, worst value and spread as text."""
    best, worst, spread = disagreement.best_value, disagreement.worst_value, disagreement.spread
    return figure_text(best, column), figure_text(worst, column), figure_text(spread, column)


def _text_or_missing(value: float | None, column: Column) -> str:
    return "not measured" if value is None else figure_text(value, column)
