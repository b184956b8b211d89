"""Summarise the rows of an evaluation: a cell for each model, layer, utility, method and metric."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import isnan

import numpy as np
import polars as pl

from shapleycam.errors import OptionError
from shapleycam.experiments.results.box_hits import max_box_accuracy, max_box_accuracy_v2
from shapleycam.experiments.results.cells import Cell, MissingResult, ResultGroup, ResultsSummary
from shapleycam.experiments.results.columns import (
    ADCC_OF_MEANS,
    MAX_BOX_ACCURACY,
    MAX_BOX_ACCURACY_V2,
    Column,
    columns_of,
    parts_of,
)
from shapleycam.experiments.results.grouping import (
    GroupValues,
    TableOrder,
    check_columns,
    find_missing,
    group_values,
    sort_groups,
)
from shapleycam.experiments.results.notes import no_result_message
from shapleycam.experiments.results.ranks import Ranks, rank_methods
from shapleycam.experiments.results.resampling import RESAMPLES, Array, Resampler
from shapleycam.experiments.results.statistics import (
    Combine,
    Lead,
    column_means,
    estimate,
    harmonic_mean,
    lead_from_resamples,
    pair_values,
    single_mean,
)
from shapleycam.metrics.metric import Metric


def adcc_of(parts: Array) -> Array:
    """Return the ADCC (Poppi 2021, arXiv:2104.10252) of coherency, complexity and average drop: (..., 3) -> (...).

    All are fractions.
    """
    return harmonic_mean(np.stack([parts[..., 0], 1 - parts[..., 1], 1 - parts[..., 2]], axis=-1))


def combine_of(column: Column) -> Combine:
    """Return the function that computes a column's figure from the means of its parts."""
    return _COMBINE.get(column.name, single_mean)


_COMBINE: dict[str, Combine] = {
    ADCC_OF_MEANS: adcc_of,
    MAX_BOX_ACCURACY: max_box_accuracy,
    MAX_BOX_ACCURACY_V2: max_box_accuracy_v2,
}


@dataclass(frozen=True)
class _ColumnParts:
    """A column, and the indices of the metrics from whose means its figures are computed."""

    column: Column
    parts: tuple[int, ...]

    @property
    def combine(self) -> Combine:
        """Return the function that computes the figure from those means."""
        return combine_of(self.column)


def summarise(
    rows: pl.DataFrame, metrics: Sequence[Metric | Column], *, resamples: int = RESAMPLES, seed: int = 0
) -> ResultsSummary:
    """Return means over images with 95% bootstrap intervals, ranks, and the missing results of an evaluation's rows.

    Args:
        rows: one for each image, model, layer, utility and method, in any order; see `experiments.rows`.
        metrics: the columns of the summary; `OF_MEANS` is the ADCC of means, which is not a metric of one image.
        resamples: how many times as many images are drawn with replacement.
        seed: of the draws; the same rows and seed give the same figures to the last bit.

    Raises:
        OptionError: a column is missing, no row has a result, or a result is there twice.

    Examples:
        >>> import polars as pl
        >>> from shapleycam.experiments.results import summarise
        >>> group = {"model": "vgg16", "layer": "last-conv", "utility": "rest"}
        >>> rows = pl.DataFrame(
        ...     [
        ...         {"index": index, "image": f"{index}.jpg", **group, "method": method, "status": "ok", "message": "",
        ...          "complexity": value}
        ...         for index, values in enumerate([(0.2, 0.5), (0.3, 0.4)])
        ...         for method, value in zip(["gradcam", "shapleycam"], values)
        ...     ]
        ... )
        >>> from shapleycam.metrics import METRICS
        >>> summary = summarise(rows, [METRICS["complexity"]])
        >>> [(cell.method, round(cell.mean, 2), cell.best) for cell in summary.cells]
        [('gradcam', 0.25, True), ('shapleycam', 0.45, False)]
    """
    return summarise_frames([rows], columns_of(metrics, rows.columns), resamples=resamples, seed=seed)


def summarise_frames(
    frames: Iterable[pl.DataFrame],
    columns: Sequence[Column],
    order: TableOrder | None = None,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> ResultsSummary:
    """Summarise rows in several frames, each with all rows of its models, as `summarise` does.

    Only one frame at a time is in memory, if `frames` yields them one by one. `order` is that of methods and utilities;
    None for that of their tables.

    Raises:
        OptionError: as in `summarise`.

    Examples:
        >>> import polars as pl
        >>> from shapleycam.experiments.results import columns_of, summarise_frames
        >>> group = {"model": "vgg16", "layer": "last-conv", "utility": "rest"}
        >>> rows = pl.DataFrame(
        ...     [
        ...         {"index": index, "image": f"{index}.jpg", **group, "method": method, "status": "ok", "message": "",
        ...          "complexity": value}
        ...         for index, values in enumerate([(0.2, 0.5), (0.3, 0.4)])
        ...         for method, value in zip(["gradcam", "shapleycam"], values)
        ...     ]
        ... )
        >>> from shapleycam.metrics import METRICS
        >>> summary = summarise_frames([rows], columns_of([METRICS["complexity"]], ["complexity"]))
        >>> [group.images for group in summary.groups]
        [2]
    """
    order = order or TableOrder.of_all()
    names = parts_of(columns)
    columns_parts = [_ColumnParts(column, tuple(map(names.index, column.parts))) for column in columns]
    resampler = Resampler(resamples, seed)
    cells: dict[ResultGroup, list[Cell]] = {}
    missing: list[MissingResult] = []
    for rows in frames:
        check_columns(rows, names)
        missing += find_missing(rows)
        values_of_groups = group_values(rows, names, order)
        cells |= {values.group: _cells(values, columns_parts, resampler) for values in values_of_groups}
        del rows  # free the memory before the next frame is read
    missing.sort(key=lambda image: image.model)
    if not cells:
        raise OptionError(no_result_message(missing))
    groups = sort_groups(cells, order)
    ordered = tuple(cell for group in groups for cell in cells[group])
    return ResultsSummary(tuple(columns), tuple(groups), ordered, tuple(missing))


def _cells(group: GroupValues, columns: Sequence[_ColumnParts], resampler: Resampler) -> list[Cell]:
    """Return all cells of a group, one method after the other, from one pass over the resamples."""
    mean = column_means(group.values)
    figures = [column.combine(mean[:, list(column.parts)]) for column in columns]
    ranks = [rank_methods(figure, column.column.better) for figure, column in zip(figures, columns, strict=True)]
    pairs = _pairs(group.values, columns, ranks)
    gaps = [pair.values for pair in pairs if not np.isfinite(pair.values).all()]
    drawn, *drawn_gaps = resampler.means_of_tables([group.values, *gaps])
    leads: list[dict[int, Lead]] = [{} for _ in columns]
    for pair in pairs:
        column = columns[pair.column]
        # A pair without gaps has the means of its methods; of one with gaps they are of the images that both have.
        whole = np.isfinite(pair.values).all()
        drawn_pair = drawn[:, pair.methods][:, :, column.parts] if whole else drawn_gaps.pop(0)
        leads[pair.column][pair.best] = lead_from_resamples(pair.values, drawn_pair, column.combine)
    cells = [
        cell
        for column, figure, column_ranks, column_leads in zip(columns, figures, ranks, leads, strict=True)
        for cell in _column_cells(group, column, figure, drawn, column_ranks, column_leads)
    ]
    return sorted(cells, key=lambda cell: group.methods.index(cell.method))


def _column_cells(
    group: GroupValues, column: _ColumnParts, figures: Array, drawn: Array, ranks: Ranks, leads: dict[int, Lead]
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
    """The values (images, 2, parts) of a column's best method and of the first second one, the better first."""

    column: int
    best: int
    methods: tuple[int, int]
    values: Array


def _pairs(values: Array, columns: Sequence[_ColumnParts], ranks: Sequence[Ranks]) -> list[_Pair]:
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
    """Return whether a method's lead is significant, and its p; None for methods that are not best or have no rival."""
    if not ranks.best[index] or ranks.best.sum() + ranks.second.sum() < 2:
        return None, None
    if lead is None:  # all methods share the best figure
        return False, 1.0
    return (None, None) if isnan(lead.p) else (lead.significant, lead.p)
