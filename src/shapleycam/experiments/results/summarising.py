"""`summarise`: computes means, intervals and ranks from the rows of an evaluation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import polars as pl

from shapleycam.errors import OptionError
from shapleycam.experiments.results.cells import Cell, MissingResult, ResultGroup, ResultsSummary
from shapleycam.experiments.results.columns import Column, columns_of, parts_of
from shapleycam.experiments.results.combining import ColumnParts
from shapleycam.experiments.results.group_cells import cells_of_group
from shapleycam.experiments.results.grouping import TableOrder, check_columns, find_missing, group_values, sort_groups
from shapleycam.experiments.results.notes import no_result_message
from shapleycam.experiments.results.resampling import RESAMPLES, Resampler
from shapleycam.metrics.metric import Metric


def summarise(
    rows: pl.DataFrame, metrics: Sequence[Metric | Column], *, resamples: int = RESAMPLES, seed: int = 0
) -> ResultsSummary:
    """Return means over images with 95% bootstrap intervals, ranks, and the images without results.

    Args:
        rows: rows of an evaluation, one for each image, model, layer, utility and method, in any order; see
            `experiments.rows`.
        metrics: the columns of the summary; `OF_MEANS` is the ADCC of means, which is not a metric of one image.
        resamples: number of bootstrap resamples.
        seed: the seed of the resamples; the same rows and seed give the same figures to the last bit.

    Raises:
        OptionError: a column is missing, no row has a result, or a result occurs twice.

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
    """Return the summary, as `summarise` does, of rows in several frames; each frame has all rows of its models.

    If `frames` is a generator, only one frame at a time is in memory. `order` is the order of methods and utilities;
    None for the order of their tables.

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
    columns_parts = [ColumnParts(column, tuple(map(names.index, column.parts))) for column in columns]
    resampler = Resampler(resamples, seed)
    cells: dict[ResultGroup, list[Cell]] = {}
    missing: list[MissingResult] = []
    for rows in frames:
        check_columns(rows, names)
        missing += find_missing(rows)
        values_of_groups = group_values(rows, names, order)
        cells |= {values.group: cells_of_group(values, columns_parts, resampler) for values in values_of_groups}
        del rows  # free the memory before the next frame is read
    missing.sort(key=lambda image: image.model)
    if not cells:
        raise OptionError(no_result_message(missing))
    groups = sort_groups(cells, order)
    ordered = tuple(cell for group in groups for cell in cells[group])
    return ResultsSummary(tuple(columns), tuple(groups), ordered, tuple(missing))
