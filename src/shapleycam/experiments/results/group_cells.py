"""`cells_of_group`: the figures, intervals, ranks and significance of the best for one model, layer and utility."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isnan

import numpy as np

from shapleycam.experiments.results.cells import Cell
from shapleycam.experiments.results.combining import ColumnParts
from shapleycam.experiments.results.grouping import GroupValues
from shapleycam.experiments.results.ranks import Ranks, rank_methods
from shapleycam.experiments.results.resampling import Array, Resampler
from shapleycam.experiments.results.statistics import Lead, column_means, estimate, lead_from_resamples, pair_values


def cells_of_group(group: GroupValues, columns: Sequence[ColumnParts], resampler: Resampler) -> list[Cell]:
    """Return all cells of a group, ordered by method, from a single pass over the resamples."""
    mean = column_means(group.values)
    figures = [column.combine(mean[:, list(column.parts)]) for column in columns]
    ranks = [rank_methods(figure, column.column.better) for figure, column in zip(figures, columns, strict=True)]
    pairs = _pairs(group.values, columns, ranks)
    incomplete = [pair.values for pair in pairs if not np.isfinite(pair.values).all()]
    drawn, *drawn_incomplete = resampler.means_of_tables([group.values, *incomplete])
    leads: list[dict[int, Lead]] = [{} for _ in columns]
    for pair in pairs:
        column = columns[pair.column]
        # If both methods have all images, the resampled means of the group are those of the pair. Otherwise the pair
        # needs means over the images that both methods have.
        is_complete = np.isfinite(pair.values).all()
        drawn_pair = drawn[:, pair.methods][:, :, column.parts] if is_complete else drawn_incomplete.pop(0)
        leads[pair.column][pair.best] = lead_from_resamples(pair.values, drawn_pair, column.combine)
    cells = [
        cell
        for column, figure, column_ranks, column_leads in zip(columns, figures, ranks, leads, strict=True)
        for cell in _column_cells(group, column, figure, drawn, column_ranks, column_leads)
    ]
    return sorted(cells, key=lambda cell: group.methods.index(cell.method))


def _column_cells(
    group: GroupValues, column: ColumnParts, figures: Array, drawn: Array, ranks: Ranks, leads: dict[int, Lead]
) -> Iterator[Cell]:
    """Yield a column's cells from its figures (methods,) and the resampled means (resamples, methods, metrics)."""
    parts = list(column.parts)
    drawn_figures = column.combine(drawn[:, :, parts])
    n = np.isfinite(group.values[:, :, parts]).all(-1).sum(0)
    undefined = group.measured[:, :, parts].all(-1).sum(0) - n
    for index, method in enumerate(group.methods):
        figure = estimate(float(figures[index]), drawn_figures[:, index], int(n[index]), int(undefined[index]))
        significant, p = _significance(leads.get(index), ranks, index)
        yield Cell(
            model=group.group.model,
            layer=group.group.layer,
            utility=group.group.utility,
            method=method,
            metric=column.column.name,
            mean=figure.mean,
            low=figure.low,
            high=figure.high,
            n=figure.n,
            undefined=figure.undefined,
            rank=float(ranks.rank[index]),
            best=bool(ranks.best[index]),
            second=bool(ranks.second[index]),
            lead_significant=significant,
            p=p,
        )


@dataclass(frozen=True)
class _Pair:
    """One of a column's best methods and the first of its second best methods.

    Attributes:
        column: index of the column.
        best: index of the best method.
        methods: indices of the two methods; the first is the one with the larger figure.
        values: their values (images, 2, parts), in the same order.
    """

    column: int
    best: int
    methods: tuple[int, int]
    values: Array


def _pairs(values: Array, columns: Sequence[ColumnParts], ranks: Sequence[Ranks]) -> list[_Pair]:
    """Return a pair for each best method of each column."""
    pairs = []
    for index, (column, column_ranks) in enumerate(zip(columns, ranks, strict=True)):
        if not column_ranks.second.any():
            continue
        parts, second = list(column.parts), int(column_ranks.second.argmax())
        for best in map(int, np.flatnonzero(column_ranks.best)):
            methods = (best, second) if column.column.better == "high" else (second, best)
            first, other = (values[:, method, parts] for method in methods)
            pairs.append(_Pair(index, best, methods, pair_values(first, other)))
    return pairs


def _significance(lead: Lead | None, ranks: Ranks, index: int) -> tuple[bool | None, float | None]:
    """Return whether a method's lead is significant, and its p; None if it is not best or has no other method."""
    if not ranks.best[index] or ranks.best.sum() + ranks.second.sum() < 2:
        return None, None
    if lead is None:  # all methods share the best figure
        return False, 1.0
    return (None, None) if isnan(lead.p) else (lead.significant, lead.p)
