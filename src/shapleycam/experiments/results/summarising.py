"""From the rows of an evaluation to a cell for each model, layer, utility, method and metric."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import isnan

import numpy as np
import polars as pl

from shapleycam.errors import OptionError
from shapleycam.experiments.results.cells import (
    ADCC_OF_MEANS,
    Absent,
    Cell,
    Column,
    Group,
    Summary,
    columns_of,
    parts_of,
)
from shapleycam.experiments.results.grouping import Table, absent_in, in_order_of_tables, refuse_missing, tables_of
from shapleycam.experiments.results.notes import no_result
from shapleycam.experiments.results.ranks import Standing, standing
from shapleycam.experiments.results.statistics import (
    RESAMPLES,
    Array,
    Combine,
    Lead,
    estimate,
    harmonic,
    lead_of,
    means,
    only,
    paired,
    resampled_together,
)
from shapleycam.metrics.metric import Metric


def adcc_of(parts: Array) -> Array:
    """ADCC (Poppi 2021, arXiv:2104.10252) of coherency, complexity and average drop: (..., 3) -> (...), fractions."""
    return harmonic(np.stack([parts[..., 0], 1 - parts[..., 1], 1 - parts[..., 2]], axis=-1))


@dataclass(frozen=True)
class _Figure:
    """How a column's figure is made: of the means of which metrics, by their place."""

    column: Column
    parts: tuple[int, ...]

    @property
    def combine(self) -> Combine:
        """Makes the figure of those means."""
        return adcc_of if self.column.name == ADCC_OF_MEANS else only


def summarise(
    rows: pl.DataFrame, metrics: Sequence[Metric | Column], *, resamples: int = RESAMPLES, seed: int = 0
) -> Summary:
    """Means over images with 95 % bootstrap intervals, ranks, and what is missing, of an evaluation's rows.

    Args:
        rows: one an image, model, layer, utility and method; see `experiments.rows`. Their order changes nothing.
        metrics: what is summarised; `OF_MEANS` is the ADCC of means, which is no metric of an image.
        resamples: how many times the images are drawn again.
        seed: of the draws; the same rows and seed give the same figures to the last bit.

    Raises:
        OptionError: a column is missing, no row has a result, or one is there twice.
    """
    return summarise_each([rows], columns_of(metrics, rows.columns), resamples=resamples, seed=seed)


def summarise_each(
    frames: Iterable[pl.DataFrame], columns: Sequence[Column], *, resamples: int = RESAMPLES, seed: int = 0
) -> Summary:
    """As `summarise`, of rows in several frames, each with all rows of its models.

    One frame at a time is in memory, if `frames` makes them one by one.

    Raises:
        OptionError: as `summarise`.
    """
    names = parts_of(columns)
    figures = [_Figure(column, tuple(map(names.index, column.parts))) for column in columns]
    cells: dict[Group, list[Cell]] = {}
    absent: list[Absent] = []
    for rows in frames:
        refuse_missing(rows, names)
        absent += absent_in(rows)
        cells |= {table.group: _cells(table, figures, resamples, seed) for table in tables_of(rows, names)}
        del rows  # before the next ones are read
    absent.sort(key=lambda one: one.model)
    if not cells:
        raise OptionError(no_result(absent))
    groups = in_order_of_tables(cells)
    ordered = tuple(cell for group in groups for cell in cells[group])
    return Summary(tuple(columns), tuple(groups), ordered, tuple(absent))


def _cells(table: Table, figures: Sequence[_Figure], resamples: int, seed: int) -> list[Cell]:
    """All cells of a group, a method after the other, from one pass over the resamples."""
    mean = means(table.values)
    found = [figure.combine(mean[:, list(figure.parts)]) for figure in figures]
    standings = [standing(each, figure.column.better) for each, figure in zip(found, figures, strict=True)]
    pairs = _pairs(table.values, figures, standings)
    drawn, *drawn_pairs = resampled_together([table.values, *pairs.values()], resamples, seed)
    leads: list[dict[int, Lead]] = [{} for _ in figures]
    for ((number, best), pair), again in zip(pairs.items(), drawn_pairs, strict=True):
        leads[number][best] = lead_of(pair, again, figures[number].combine)
    cells = [
        cell
        for figure, each, ranks, led in zip(figures, found, standings, leads, strict=True)
        for cell in _column_cells(table, figure, each, drawn, ranks, led)
    ]
    return sorted(cells, key=lambda cell: table.methods.index(cell.method))


def _column_cells(
    table: Table, figure: _Figure, found: Array, drawn: Array, ranks: Standing, leads: dict[int, Lead]
) -> Iterator[Cell]:
    """A column's cells: its figures (methods,) and all means of the resamples (resamples, methods, metrics)."""
    parts = list(figure.parts)
    again = figure.combine(drawn[:, :, parts])
    n = np.isfinite(table.values[:, :, parts]).all(-1).sum(0)
    undefined = table.measured[:, :, parts].all(-1).sum(0) - n
    for place, method in enumerate(table.methods):
        have = estimate(float(found[place]), again[:, place], int(n[place]), int(undefined[place]))
        significant, p = _verdict(leads.get(place), ranks, place)
        yield Cell(
            model=table.group.model,
            layer=table.group.layer,
            utility=table.group.utility,
            method=method,
            metric=figure.column.name,
            mean=have.mean,
            low=have.low,
            high=have.high,
            n=have.n,
            undefined=have.undefined,
            rank=float(ranks.rank[place]),
            best=bool(ranks.best[place]),
            second=bool(ranks.second[place]),
            lead_significant=significant,
            p=p,
        )


def _pairs(values: Array, figures: Sequence[_Figure], standings: Sequence[Standing]) -> dict[tuple[int, int], Array]:
    """By figure and method: each best one beside the first that is second, the better one first."""
    pairs = {}
    for number, (figure, ranks) in enumerate(zip(figures, standings, strict=True)):
        if not ranks.second.any():
            continue
        parts, second = list(figure.parts), int(ranks.second.argmax())
        for best in np.flatnonzero(ranks.best):
            both = (int(best), second) if figure.column.better == "high" else (second, int(best))
            pairs[number, int(best)] = paired(*(values[:, place, parts] for place in both))
    return pairs


def _verdict(lead: Lead | None, ranks: Standing, place: int) -> tuple[bool | None, float | None]:
    """Whether a method's lead is significant, and its p: of the best alone, and where there is another to lead."""
    if not ranks.best[place] or ranks.best.sum() + ranks.second.sum() < 2:
        return None, None
    if lead is None:  # all share the best figure
        return False, 1.0
    return (None, None) if isnan(lead.p) else (lead.significant, lead.p)
