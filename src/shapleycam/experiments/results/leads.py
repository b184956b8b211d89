"""`find_leads`: by how much one method is better than another, for each model, layer, utility and metric."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import nan

import polars as pl

from shapleycam.errors import OptionError
from shapleycam.experiments.results._published import PublishedFigures
from shapleycam.experiments.results.cells import ResultGroup, sort_by_table
from shapleycam.experiments.results.columns import Column, parts_of
from shapleycam.experiments.results.combining import combine_of
from shapleycam.experiments.results.grouping import GroupValues, TableOrder, check_columns, group_values, sort_groups
from shapleycam.experiments.results.resampling import Resampler
from shapleycam.experiments.results.statistics import holm, lead_from_resamples, pair_values

RESAMPLES_OF_LEADS = 10_000
"""Number of resamples, large enough for the small p that Holm's correction needs in a family of a hundred leads."""


@dataclass(frozen=True)
class MethodLead:
    """The lead of one method over another by one metric; above 0 the first is better, for both directions of metrics.

    Attributes:
        group: model, layer and utility, and the number of images with a result.
        metric: the name of the metric.
        mean: the difference of the means over the images for which both are defined, as a fraction; NaN for fewer than
            two images.
        low: lower end of the 95% bootstrap interval; NaN if `mean` is.
        high: upper end of the 95% bootstrap interval; NaN if `mean` is.
        n: number of images for which both are defined.
        p: two-sided p-value.
        p_holm: the p-value corrected for all leads of one call of `find_leads`.

    Examples:
        >>> from shapleycam.experiments.results import MethodLead, ResultGroup
        >>> group = ResultGroup("vgg16", "last-conv", "rest", images=10)
        >>> MethodLead(group, "adcc", mean=0.02, low=0.01, high=0.03, n=10, p=0.01, p_holm=0.04).is_significant
        True
    """

    group: ResultGroup
    metric: str
    mean: float
    low: float
    high: float
    n: int
    p: float
    p_holm: float = nan

    @property
    def is_significant(self) -> bool:
        """Return whether one of the methods is significantly better, at 5% for all leads together."""
        return self.p_holm <= 0.05 and (self.low > 0 or self.high < 0)


def find_leads(
    frames: Iterable[pl.DataFrame],
    columns: Sequence[Column],
    pair: tuple[str, str],
    order: TableOrder | None = None,
    *,
    resampler: Resampler | None = None,
) -> list[MethodLead]:
    """Return the leads of the first method of a pair over the second, in the order of tables.

    Args:
        frames: rows of an evaluation; each frame has all rows of its models; see `experiments.rows`.
        columns: the metrics.
        pair: names of the two methods.
        order: the order of utilities; None for the order of the table of utilities.
        resampler: draws the images; several calls may share it to draw only once. None for 10,000 resamples.

    Raises:
        OptionError: no model was measured with both methods.

    Examples:
        >>> import polars as pl
        >>> from shapleycam.experiments.results import Column, find_leads
        >>> from shapleycam.metrics import METRICS
        >>> group = {"model": "vgg16", "layer": "last-conv", "utility": "rest", "status": "ok", "message": ""}
        >>> rows = pl.DataFrame(
        ...     [
        ...         {"index": index, "image": f"{index}.jpg", **group, "method": method, "complexity": value}
        ...         for index, values in enumerate([(0.4, 0.5), (0.2, 0.5)])
        ...         for method, value in zip(["gradcam", "shapleycam"], values)
        ...     ]
        ... )
        >>> (lead,) = find_leads([rows], [Column.of(METRICS["complexity"])], ("gradcam", "shapleycam"))
        >>> round(lead.mean, 2), lead.is_significant  # 20 points less complex, on two images alone
        (0.2, False)
    """
    order = order or TableOrder.of_all()
    names, resampler = parts_of(columns), resampler or Resampler(RESAMPLES_OF_LEADS)
    leads: dict[ResultGroup, list[MethodLead]] = {}
    methods: set[str] = set()
    for rows in frames:
        check_columns(rows, names)
        for values in group_values(rows, names, order):
            methods |= set(values.methods)
            if set(pair) <= set(values.methods):
                leads[values.group] = list(_leads_of_group(values, columns, pair, resampler))
    if not leads:
        known = ", ".join(sort_by_table(methods, order.methods)) or "no method"
        raise OptionError(f"no model has results of both {pair[0]} and {pair[1]}; these results have {known}")
    ordered = [lead for group in sort_groups(leads, order) for lead in leads[group]]
    corrected = holm([lead.p for lead in ordered])
    return [replace(lead, p_holm=p_holm) for lead, p_holm in zip(ordered, corrected, strict=True)]


def _leads_of_group(
    group: GroupValues, columns: Sequence[Column], pair: tuple[str, str], resampler: Resampler
) -> Iterator[MethodLead]:
    names = parts_of(columns)
    for column in columns:
        parts = [names.index(part) for part in column.parts]
        first, second = (
            group.values[:, group.methods.index(method), parts]
            for method in (pair if column.better == "high" else reversed(pair))
        )
        both = pair_values(first, second)
        lead = lead_from_resamples(both, resampler.means(both), combine_of(column))
        yield MethodLead(group.group, column.name, lead.mean, lead.low, lead.high, lead.n, lead.p)


def published_lead(
    published: PublishedFigures, group: ResultGroup, column: Column, pair: tuple[str, str]
) -> float | None:
    """Return the published lead in percentage points; None if the figure of either method is not published.

    Examples:
        >>> from shapleycam.experiments.results import OF_MEANS, ResultGroup, load_published, published_lead
        >>> group = ResultGroup("resnet18", "before-pool", "log_probability", images=50_000)
        >>> round(published_lead(load_published(), group, OF_MEANS, ("shapleycam", "gradcam")), 2)
        2.14
    """
    first, second = (
        published.percent.get((group.model, group.layer, group.utility, method, column.name)) for method in pair
    )
    if first is None or second is None:
        return None
    return first - second if column.better == "high" else second - first
