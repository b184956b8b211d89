"""`LeadTables`: tables of the leads of one method over another.

There is a table for each layer; rows are networks and utilities, columns are metrics.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import StringIO
from math import isnan

from shapleycam.experiments.results._doubts import explain_doubt
from shapleycam.experiments.results._published import PublishedFigures
from shapleycam.experiments.results.columns import Column
from shapleycam.experiments.results.leads import RESAMPLES_OF_LEADS, MethodLead, published_lead
from shapleycam.experiments.results.notes import DOUBTED, number_of_images
from shapleycam.experiments.results.text_tables import NO_FIGURE, TableEntry, TableRow, TextTable, signed

_HEADS = ("layer", "utility", "model", "metric", "first", "second", "lead", "low", "high", "n", "p", "p_holm")
_PUBLISHED_HEAD = "published_points"


@dataclass(frozen=True)
class LeadTables:
    """The leads of the first method of a pair over the second.

    Attributes:
        pair: names of the methods.
        leads: leads as `find_leads` returns them.
        columns: the metrics.
        published: published figures, whose leads are shown beside the measured ones; None to show none.
        resamples: the number of resamples from which the leads were computed.
        remarks: sentences on the runs, such as that they are not finished.

    Examples:
        >>> from shapleycam.experiments.results import Column, LeadTables, MethodLead, ResultGroup
        >>> from shapleycam.metrics import METRICS
        >>> group = ResultGroup("vgg16", "last-conv", "rest", images=10)
        >>> lead = MethodLead(group, "complexity", mean=0.02, low=0.01, high=0.03, n=10, p=0.01, p_holm=0.01)
        >>> tables = LeadTables(("shapleycam", "gradcam"), [lead], [Column.of(METRICS["complexity"])])
        >>> tables.text_tables()[0].rows[0].entries[0].text
        '+2.00 (+1.00 to +3.00)'
    """

    pair: tuple[str, str]
    leads: Sequence[MethodLead]
    columns: Sequence[Column]
    published: PublishedFigures | None = None
    resamples: int = RESAMPLES_OF_LEADS
    remarks: tuple[str, ...] = ()

    def text_tables(self) -> list[TextTable]:
        """Return a table for each layer."""
        layers = dict.fromkeys(lead.group.layer for lead in self.leads)
        return [self._text_table([lead for lead in self.leads if lead.group.layer == layer]) for layer in layers]

    def csv(self) -> str:
        """Return CSV with one line for each lead: fractions at full precision, published leads in percentage points."""
        text = StringIO()
        heads = [*_HEADS, *([_PUBLISHED_HEAD] if self.published else [])]
        writer = csv.DictWriter(text, heads, lineterminator="\n")
        writer.writeheader()
        for lead in self.leads:
            group = lead.group
            names = (group.layer, group.utility, group.model, lead.metric, *self.pair)
            figures = (lead.mean, lead.low, lead.high, lead.n, lead.p, lead.p_holm)
            fields = dict(zip(_HEADS, (*names, *("" if isnan(figure) else figure for figure in figures)), strict=True))
            if self.published:
                points = self.published_points(lead)
                fields[_PUBLISHED_HEAD] = "" if points is None else round(points, 4)
            writer.writerow(fields)
        return text.getvalue()

    def published_points(self, lead: MethodLead) -> float | None:
        """Return the published lead of the same cell in percentage points; None if there is none."""
        column = next(column for column in self.columns if column.name == lead.metric)
        return None if self.published is None else published_lead(self.published, lead.group, column, self.pair)

    def _text_table(self, leads: Sequence[MethodLead]) -> TextTable:
        groups = list(dict.fromkeys(lead.group for lead in leads))
        by_key = {(lead.group, lead.metric): lead for lead in leads}
        models = list(dict.fromkeys(group.model for group in groups))
        groups.sort(key=lambda group: models.index(group.model))  # puts the utilities of a network in adjacent rows
        rows = [
            TableRow(
                group.model,
                group.utility,
                tuple(self._entry(by_key[group, column.name], column) for column in self.columns),
                first=index == 0 or groups[index - 1].model != group.model,
            )
            for index, group in enumerate(groups)
        ]
        return TextTable(
            caption=f"Lead of {self.pair[0]} over {self.pair[1]}, layer {groups[0].layer}, {number_of_images(groups)}",
            heads=("network", "utility", *(f"{column.title}{' %' * column.percent}" for column in self.columns)),
            rows=tuple(rows),
            notes=tuple(self._notes(leads)),
        )

    def _entry(self, lead: MethodLead, column: Column) -> TableEntry:
        if isnan(lead.mean):
            return TableEntry(NO_FIGURE)
        scale, decimals = (100, 2) if column.percent else (1, 3)
        text = signed(scale * lead.mean, decimals)
        if not isnan(lead.low):
            text += f" ({signed(scale * lead.low, decimals)} to {signed(scale * lead.high, decimals)})"
        points = self.published_points(lead)
        if points is not None:
            text += f" [{signed(points)}]{DOUBTED * (self._doubt(lead) is not None)}"
        return TableEntry(text, marked=lead.is_significant)

    def _doubt(self, lead: MethodLead) -> str | None:
        group = lead.group
        doubts = (explain_doubt((group.model, group.layer, group.utility, name, lead.metric)) for name in self.pair)
        return next(filter(None, doubts), None)

    def _notes(self, leads: Sequence[MethodLead]) -> Iterator[str]:
        yield (
            f"Above 0 {self.pair[0]} is better, for metrics of both directions; in brackets the 95% interval over "
            f"images (paired bootstrap, {self.resamples:,} resamples)."
        )
        yield f"* By more than chance: p at most 5%, corrected by Holm's method for all {len(self.leads)} leads."
        yield from self.remarks
        compared = [lead for lead in leads if self.published_points(lead) is not None]
        if self.published is None:
            return
        none = "" if compared else "; none is published of these"
        yield f"In square brackets: the published lead in percentage points{none}."
        doubts = dict.fromkeys(filter(None, map(self._doubt, compared)))
        yield from (f"{DOUBTED} {doubt}" for doubt in doubts)
        yield from self.published.remarks
