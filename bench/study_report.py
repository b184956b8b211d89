"""The tables of bench/study.py: leads, closeness to the true values, and which metrics agree with it."""

from __future__ import annotations

import lzma
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from pathlib import Path

import numpy as np
import polars as pl

from shapleycam.cams import METHODS
from shapleycam.experiments import Store
from shapleycam.experiments.results import (
    OF_MEANS,
    Column,
    MethodLead,
    columns_of,
    find_leads,
    markdown,
    summarise_frames,
)
from shapleycam.experiments.results.grouping import GroupValues, TableOrder, group_values, sort_groups
from shapleycam.experiments.results.leads import correct_leads
from shapleycam.experiments.results.rank_agreement import rank_agreement
from shapleycam.experiments.results.resampling import Array, Resampler
from shapleycam.experiments.results.statistics import Estimate
from shapleycam.experiments.rows import metrics_in
from shapleycam.metrics import METRICS

PAIRS = (
    ("shapleycam", "gradcam"),
    ("pathcam-h", "gradcam"),
    ("pathcam-h", "shapleycam"),
    ("sampledshapley", "gradcam"),
    ("sampledshapley", "shapleycam"),
)
CLOSENESS = ("shapley_spearman", "shapley_error", "efficiency_gap")
"""Metrics of how near a method is to the true values: no evidence of who is right about the photograph."""
RESAMPLES = 100_000
"""So many that p can be as small as Holm's correction needs in a family of a thousand leads."""
DECIMALS = 3
VERDICTS = (
    "Better, neither, worse: the number of networks in which the first method is better than the second by more than "
    "chance, by Holm's correction for all {leads} leads of this page (paired bootstrap over images, {resamples:,} "
    "resamples, 5%). What is not listed differs in no network by more than chance."
)
AGREEMENT = (
    "Spearman's rank correlation, over methods, of a metric and of the rank correlation with the true values; above 0 "
    "the metric prefers methods that are closer to them. First of the methods' means, then the mean of each "
    "photograph's own; in brackets the 95% interval over photographs. RandomCAM is left out, which any metric finds; "
    "methods with the same figures count once."
)


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

    @property
    def compared_columns(self) -> list[Column]:
        """The columns by which one method may lead another."""
        return [column for column in self.columns if column.name not in CLOSENESS]

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


def study_report(parts: Sequence[MeasuredPart], resamples: int) -> str:
    """The report as Markdown."""
    leads = leads_of(parts, resamples)
    lines = [
        "# The study: methods, true values and metrics",
        f"Measured by `python bench/study.py` on: {'; '.join(_machines(parts))}.",
        "Class = prediction, of mosaics that of one cell; removal by zero, the network's own preprocessing.",
        "The parts are in bench/study.toml.",
        *_measured(parts),
        "## In how many networks one method leads another",
        VERDICTS.format(leads=len(leads), resamples=resamples),
        *_verdicts(leads),
        "## By how much",
        "In points, with the 95% interval; above 0 the first is better, also where low is good. Bold: not by chance.",
        *_lead_tables(parts, leads),
        "## Which metrics agree with closeness to the true values",
        AGREEMENT,
        *_agreement(parts),
        "## All figures",
    ]
    for part in parts:
        summary = summarise_frames(part.frames, part.columns)
        lines += [f"### {part.name}", markdown(summary).rstrip()]
    return "\n\n".join(lines) + "\n"


def leads_of(parts: Sequence[MeasuredPart], resamples: int) -> list[PairLead]:
    """The leads of all pairs in all parts, with p corrected for all of them together."""
    leads: list[PairLead] = []
    resampler = Resampler(resamples)
    for part, pair in product(parts, PAIRS):
        if any(set(pair) <= methods_of(frame) for frame in part.frames):
            leads_of_pair = find_leads(part.frames, part.compared_columns, pair, resampler=resampler)
            leads += [PairLead(part.name, pair, lead) for lead in leads_of_pair]
    corrected = correct_leads([each.lead for each in leads], resamples)
    return [replace(each, lead=lead) for each, lead in zip(leads, corrected, strict=True)]


def methods_of(frame: pl.DataFrame) -> set[str]:
    """The methods with results in the rows of a run."""
    return set(frame.filter(pl.col("status") == "ok")["method"].unique())


def write_rows(parts: Sequence[MeasuredPart], path: Path) -> int:
    """Write the rows of all parts as compressed CSV, numbers to three decimals; return its size in bytes."""
    frames = [frame.with_columns(pl.lit(part.name).alias("part")) for part in parts for frame in part.frames]
    rows = pl.concat([_plain(frame) for frame in frames], how="diagonal")
    path.write_bytes(lzma.compress(rows.write_csv().encode()))
    return path.stat().st_size


def _plain(frame: pl.DataFrame) -> pl.DataFrame:
    """The columns that make a figure, without what is the same for all rows of an image."""
    names = ["part", "model", "layer", "utility", "method", "index", *metrics_in(frame.columns)]
    words = pl.col("model", "layer", "utility", "method").cast(pl.String)
    good = frame.filter(pl.col("status") == "ok").select(names).with_columns(words)
    return good.with_columns(pl.col(pl.Float64).fill_nan(None).round(DECIMALS)).sort(names[:6])


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def title_of(name: str) -> str:
    """The title of a metric, or of ADCC of means."""
    return METRICS[name].title if name in METRICS else OF_MEANS.title


def _machines(parts: Sequence[MeasuredPart]) -> dict[str, None]:
    """Every machine that measured a part of the study, from the manifests."""
    sessions = [session for part in parts for store in part.stores for session in store.manifest["sessions"]]
    return dict.fromkeys(
        f"{of['processor']}, {of['cores']} cores, {of['device']}, Python {of['python']}, torch {versions['torch']}, "
        f"timm {versions['timm']}, shapleycam {versions['shapleycam']}"
        for of, versions in ((session["machine"], session["versions"]) for session in sessions)
    )


def _measured(parts: Sequence[MeasuredPart]) -> Iterator[str]:
    rows = []
    for part in parts:
        for store in part.stores:
            protocol, (name,) = store.manifest["protocol"], store.manifest["order"]
            names = (", ".join(protocol["layers"]), ", ".join(protocol["utilities"]), len(protocol["methods"]))
            count = sum(map(len, store.measured(name)))
            rows.append((part.name, name, *names, count, f"{protocol['tolerance']:.0%}"))
    yield table(("part", "network", "layers", "utilities", "methods", "images", "tolerance"), rows)


def _verdicts(leads: Sequence[PairLead]) -> Iterator[str]:
    counts: dict[tuple[str, ...], Counter[str]] = {}
    for each in leads:
        group = each.lead.group
        key = (" than ".join(each.pair), f"{each.part}, {group.layer}", group.utility, title_of(each.lead.metric))
        counts.setdefault(key, Counter())[each.verdict] += 1
    verdicts = ("better", "neither", "worse")
    rows = [
        (*key, *(count[verdict] for verdict in verdicts))
        for key, count in counts.items()
        if count["better"] or count["worse"]
    ]
    yield table(("first than second", "part, layer", "utility", "metric", *verdicts), rows)


def _lead_tables(parts: Sequence[MeasuredPart], leads: Sequence[PairLead]) -> Iterator[str]:
    for part, pair in product(parts, PAIRS):
        of_pair = [each.lead for each in leads if (each.part, each.pair) == (part.name, pair)]
        columns = part.compared_columns
        by_key = {(lead.group, lead.metric): lead for lead in of_pair}
        groups = dict.fromkeys(lead.group for lead in of_pair)
        rows = [
            (
                *(group.model, group.layer, group.utility, group.images),
                *(_lead_cell(by_key[group, column.name], column) for column in columns),
            )
            for group in groups
        ]
        if rows:
            yield f"**{pair[0]} than {pair[1]}, {part.name}**"
            yield table(("network", "layer", "utility", "n", *(column.title for column in columns)), rows)


def _lead_cell(lead: MethodLead, column: Column) -> str:
    if np.isnan(lead.mean):
        return "–"
    scale, digits = (100, 2) if column.percent else (1, 4)
    mean, low, high = (f"{scale * value:+.{digits}f}" for value in (lead.mean, lead.low, lead.high))
    text = f"{mean} ({low} to {high})"
    return f"**{text}**" if lead.is_significant else text


def _agreement(parts: Sequence[MeasuredPart]) -> Iterator[str]:
    resampler, rows = Resampler(), []
    for part in parts:
        names = metrics_in(part.frames[0].columns)
        for values in part.groups():
            group, closeness = values.group, _oriented(values, names, "shapley_spearman")
            for name in (name for name in names if name not in CLOSENESS):
                agreement = rank_agreement(_oriented(values, names, name), closeness, resampler)
                ranges = (_range(agreement.of_means), _range(agreement.of_images))
                of_group = (part.name, group.model, group.layer, group.utility)
                rows.append((*of_group, METRICS[name].title, agreement.methods, *ranges))
    yield table(("part", "network", "layer", "utility", "metric", "methods", "of means", "of a photograph"), rows)


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
