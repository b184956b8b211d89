"""The tables of bench/study.py: leads, closeness to the true values, and which metrics agree with it."""

from __future__ import annotations

import gzip
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl

from measure import machine
from shapleycam.cams import METHODS
from shapleycam.errors import OptionError
from shapleycam.experiments import Store
from shapleycam.experiments.results import Column, MethodLead, columns_of, find_leads, markdown, summarise_frames
from shapleycam.experiments.results.grouping import GroupValues, TableOrder, group_values, sort_groups
from shapleycam.experiments.results.rank_agreement import rank_agreement
from shapleycam.experiments.results.resampling import Array, Resampler
from shapleycam.experiments.results.statistics import Estimate, holm
from shapleycam.experiments.rows import metrics_in
from shapleycam.metrics import METRICS

PAIRS = (
    ("shapleycam", "gradcam"),
    ("pathcam-h", "gradcam"),
    ("sampledshapley", "gradcam"),
    ("sampledshapley", "shapleycam"),
)
CLOSENESS = ("shapley_spearman", "shapley_error", "efficiency_gap")
"""Metrics of how near a method is to the true values: no evidence of who is right about the photograph."""
RESAMPLES = 100_000
"""So many that p can be as small as Holm's correction needs in a family of a thousand leads."""
DECIMALS = 4


@dataclass(frozen=True)
class MeasuredPart:
    """The runs of a part, one for each network."""

    name: str
    stores: Sequence[Store]

    @cached_property
    def frames(self) -> list[pl.DataFrame]:
        """The rows of each run."""
        return [store.rows() for store in self.stores]

    @property
    def columns(self) -> tuple[Column, ...]:
        """The metrics of the part, and ADCC of means."""
        measured = metrics_in(self.frames[0].columns)
        return columns_of([METRICS[name] for name in measured], measured)

    def groups(self) -> list[GroupValues]:
        """The values of each network, layer and utility, in the order of tables."""
        names, order = metrics_in(self.frames[0].columns), TableOrder.of_all()
        groups = {values.group: values for frame in self.frames for values in group_values(frame, names, order)}
        return [groups[group] for group in sort_groups(groups, order)]


@dataclass(frozen=True)
class PairLead:
    """A lead with the part and the pair of methods that it is of."""

    part: str
    pair: tuple[str, str]
    lead: MethodLead

    @property
    def verdict(self) -> str:
        """Whether the first method is better, worse, or neither by more than chance."""
        return ("better" if self.lead.mean > 0 else "worse") if self.lead.is_significant else "neither"


def study_report(parts: Sequence[MeasuredPart], resamples: int = RESAMPLES) -> str:
    """The report as Markdown."""
    leads = leads_of(parts, resamples)
    lines = [
        *("# The study: methods, true values and metrics", ""),
        *(f"Measured by `python bench/study.py` on: {machine('timm', 'numpy')}.", ""),
        *("Class = prediction, removal by zero, each network's own preprocessing; the parts are in bench/study.toml.", ""),
        *_measured(parts),
        *("## In how many networks one method leads another", ""),
        "Better, neither, worse: the number of networks in which the first method is better than the second by more "
        f"than chance, by Holm's correction for all {len(leads)} leads of this page (paired bootstrap over photographs, "
        f"{resamples:,} resamples, 5%).",
        *("", *_verdicts(leads)),
        *("## By how much", ""),
        "In points, with the 95% interval; above 0 the first is better, also where low is good. Bold: more than chance.",
        *("", *_lead_tables(parts, leads)),
        *("## Which metrics agree with closeness to the true values", ""),
        "Spearman's rank correlation, over methods, of a metric and of the rank correlation with the true values; above "
        "0 the metric prefers methods that are closer to them. First of the methods' means, then the mean of each "
        "photograph's own; in brackets the 95% interval over photographs. RandomCAM is left out, which any metric finds; "
        "methods with the same figures count once.",
        *("", *_agreement(parts)),
        *("## All figures", ""),
    ]
    for part in parts:
        summary = summarise_frames(part.frames, part.columns)
        lines += [f"### {part.name}", "", markdown(summary), ""]
    return "\n".join(lines)


def leads_of(parts: Sequence[MeasuredPart], resamples: int) -> list[PairLead]:
    """The leads of all pairs in all parts, with p corrected for all of them together."""
    leads: list[PairLead] = []
    for part in parts:
        columns = [column for column in part.columns if column.name not in CLOSENESS]
        for pair in PAIRS:
            try:
                found = find_leads(part.frames, columns, pair, resamples=resamples)
            except OptionError:  # the part has not both
                continue
            leads += [PairLead(part.name, pair, lead) for lead in found]
    corrected = holm([each.lead.p for each in leads])
    return [replace(each, lead=replace(each.lead, p_holm=p)) for each, p in zip(leads, corrected, strict=True)]


def write_rows(parts: Sequence[MeasuredPart], path: Path) -> int:
    """Write the rows of all parts as compressed CSV, numbers to four decimals; return its size in bytes."""
    frames = [frame.with_columns(pl.lit(part.name).alias("part")) for part in parts for frame in part.frames]
    table = pl.concat([_plain(frame) for frame in frames], how="diagonal")
    path.write_bytes(gzip.compress(table.write_csv().encode(), mtime=0))
    return path.stat().st_size


def _plain(frame: pl.DataFrame) -> pl.DataFrame:
    """The columns that make a figure, without what is the same for all rows of an image."""
    names = ["part", "model", "layer", "utility", "method", "index", *metrics_in(frame.columns)]
    words = pl.col("model", "layer", "utility", "method").cast(pl.String)
    good = frame.filter(pl.col("status") == "ok").select(names).with_columns(words)
    return good.with_columns(pl.col(pl.Float64).fill_nan(None).round(DECIMALS)).sort(names[:6])


def _measured(parts: Sequence[MeasuredPart]) -> Iterator[str]:
    yield from ("| part | network | layers | utilities | methods | photographs | tolerance |", "|" + "---|" * 7)
    for part in parts:
        for store in part.stores:
            protocol, (name,) = store.manifest["protocol"], store.manifest["order"]
            count = sum(map(len, store.measured(name)))
            cells = (name, ", ".join(protocol["layers"]), ", ".join(protocol["utilities"]), len(protocol["methods"]))
            yield f"| {part.name} | {' | '.join(map(str, cells))} | {count} | {protocol['tolerance']:.0%} |"
    yield ""


def _verdicts(leads: Sequence[PairLead]) -> Iterator[str]:
    yield from ("| first than second | part, layer | utility | metric | better | neither | worse |", "|" + "---|" * 7)
    counts: dict[tuple[str, ...], Counter[str]] = {}
    for each in leads:
        group = each.lead.group
        key = (" than ".join(each.pair), f"{each.part}, {group.layer}", group.utility, title_of(each.lead.metric))
        counts.setdefault(key, Counter())[each.verdict] += 1
    for key, count in counts.items():
        if count["better"] or count["worse"]:
            yield f"| {' | '.join(key)} | {count['better']} | {count['neither']} | {count['worse']} |"
    yield from ("", "What is not listed differs in no network by more than chance.", "")


def title_of(name: str) -> str:
    """The title of a metric, or of ADCC of means."""
    return METRICS[name].title if name in METRICS else "ADCC (of means)"


def _lead_tables(parts: Sequence[MeasuredPart], leads: Sequence[PairLead]) -> Iterator[str]:
    for part in parts:
        columns = [column for column in part.columns if column.name not in CLOSENESS]
        for pair in PAIRS:
            of_pair = [each.lead for each in leads if (each.part, each.pair) == (part.name, pair)]
            if not of_pair:
                continue
            by_key = {(lead.group, lead.metric): lead for lead in of_pair}
            yield from (f"**{pair[0]} than {pair[1]}, {part.name}**", "")
            yield f"| network | layer | utility | n | {' | '.join(column.title for column in columns)} |"
            yield "|" + "---|" * (4 + len(columns))
            for group in dict.fromkeys(lead.group for lead in of_pair):
                cells = (_lead_cell(by_key[group, column.name], column) for column in columns)
                yield f"| {group.model} | {group.layer} | {group.utility} | {group.images} | {' | '.join(cells)} |"
            yield ""


def _lead_cell(lead: MethodLead, column: Column) -> str:
    if np.isnan(lead.mean):
        return "–"
    scale = 100 if column.percent else 1
    text = f"{scale * lead.mean:+.2f} ({scale * lead.low:+.2f} to {scale * lead.high:+.2f})"
    return f"**{text}**" if lead.is_significant else text


def _agreement(parts: Sequence[MeasuredPart]) -> Iterator[str]:
    resampler = Resampler()
    yield from ("| part | network | layer | utility | metric | methods | of means | of a photograph |", "|" + "---|" * 8)
    for part in parts:
        names = metrics_in(part.frames[0].columns)
        for values in part.groups():
            closeness = _oriented(values, names, "shapley_spearman")
            for name in names:
                if name in CLOSENESS:
                    continue
                agreement = rank_agreement(_oriented(values, names, name), closeness, resampler)
                group = values.group
                yield (
                    f"| {part.name} | {group.model} | {group.layer} | {group.utility} | {METRICS[name].title} | "
                    f"{agreement.methods} | {_range(agreement.of_means)} | {_range(agreement.of_images)} |"
                )
    yield ""


def _oriented(values: GroupValues, names: Sequence[str], metric: str) -> Array:
    """The values (images, methods) of a metric, higher is better, of all methods that are not random."""
    methods = [index for index, name in enumerate(values.methods) if not METHODS[name].is_baseline]
    sign = 1 if METRICS[metric].better == "high" else -1
    oriented: Array = sign * values.values[:, methods, names.index(metric)]
    return oriented


def _range(estimate: Estimate) -> str:
    if np.isnan(estimate.mean):
        return "–"
    return f"{estimate.mean:+.2f} ({estimate.low:+.2f} to {estimate.high:+.2f})"
