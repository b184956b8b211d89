"""`find_leads`: by how much one method is better than another, for each model, layer, utility and metric."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import isnan, nan

import polars as pl

from shapleycam.errors import OptionError
from shapleycam.experiments.results._published import PublishedFigures
from shapleycam.experiments.results.cells import ResultGroup, sort_by_table
from shapleycam.experiments.results.columns import Column, parts_of
from shapleycam.experiments.results.combining import combine_of
from shapleycam.experiments.results.grouping import GroupValues, TableOrder, check_columns, group_values, sort_groups
from shapleycam.experiments.results.resampling import Resampler
from shapleycam.experiments.results.statistics import LEVEL, holm, lead_from_resamples, pair_values

RESAMPLES_OF_LEADS = 10_000
"""Minimum number of resamples for leads."""
_RESAMPLES_FOR_EACH = 100
"""Resamples for each lead of a family. The smallest p is 2 / (resamples + 1), which Holm's correction multiplies by the
number of leads: so the smallest corrected p is 0.02. With a fixed number of resamples, no lead of a large family could
be significant, however clear."""


def resamples_for(leads: int) -> int:
    """Return the number of resamples with which a clear lead among so many is significant by Holm's correction.

    Examples:
        >>> from shapleycam.experiments.results.leads import resamples_for
        >>> resamples_for(7), resamples_for(336)
        (10000, 33600)
    """
    return max(RESAMPLES_OF_LEADS, _RESAMPLES_FOR_EACH * leads)


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
        return self.p_holm <= LEVEL and (self.low > 0 or self.high < 0)


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
        OptionError: no model was measured with both methods, or there are too few resamples for so many leads.

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
    return correct_leads(ordered, resampler.resamples)


def correct_leads(leads: Sequence[MethodLead], resamples: int) -> list[MethodLead]:
    """Return leads with `p_holm` corrected for all of them together.

    Args:
        leads: leads of any pairs of methods.
        resamples: the number of resamples from which their p was computed.

    Raises:
        OptionError: with so few resamples no lead could be significant.

    Examples:
        >>> from shapleycam.experiments.results import MethodLead, ResultGroup
        >>> from shapleycam.experiments.results.leads import correct_leads
        >>> group = ResultGroup("vgg16", "last-conv", "rest", images=10)
        >>> leads = [MethodLead(group, name, 0.02, 0.01, 0.03, 10, p) for name, p in (("adcc", 0.01), ("road", 0.04))]
        >>> [lead.p_holm for lead in correct_leads(leads, 10_000)]
        [0.02, 0.04]
    """
    tests = sum(not isnan(lead.p) for lead in leads)
    smallest = 2 / (resamples + 1)
    if smallest * tests > LEVEL:
        raise OptionError(
            f"{tests} leads were tested with {resamples:,} resamples, by which none can be significant (the smallest p "
            f"is {smallest:.1e}, times {tests}); give a resampler of {resamples_for(tests):,}"
        )
    corrected = holm([lead.p for lead in leads])
    return [replace(lead, p_holm=p_holm) for lead, p_holm in zip(leads, corrected, strict=True)]


def _leads_of_group(
    group: GroupValues, columns: Sequence[Column], pair: tuple[str, str], resampler: Resampler
) -> Iterator[MethodLead]:
    """Yield the lead of a group by each column, from a single pass over the resamples."""
    names = parts_of(columns)
    pairs = []
    for column in columns:
        parts = [names.index(part) for part in column.parts]
        first, second = (
            group.values[:, group.methods.index(method), parts]
            for method in (pair if column.better == "high" else reversed(pair))
        )
        pairs.append(pair_values(first, second))
    for column, both, drawn in zip(columns, pairs, resampler.means_of_tables(pairs), strict=True):
        lead = lead_from_resamples(both, drawn, combine_of(column))
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
