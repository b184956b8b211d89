"""What the tab Results shows of a run of `evaluate`: tables, figures, and the photographs on which methods differ."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from shapleycam.errors import OptionError, nearest
from shapleycam.experiments import Store
from shapleycam.experiments.merging import read_curves, summarise_runs
from shapleycam.experiments.results.text_tables import TextTable, text_tables
from shapleycam.metrics.metric import Metric
from shapleycam.metrics.table import canonical_metric
from shapleycam.printable import printable_name
from shapleycam.report.disagreement import DisagreementSection, disagreement_section
from shapleycam.report.figures import ReportFigure, figures
from shapleycam.report.map_reproducer import MapReproducer
from shapleycam.report.outcome import describe_metric, describe_results
from shapleycam.report.pictures import Picture
from shapleycam.report.protocol_in_words import measured_metrics
from shapleycam.web.resolved import ResolvedQuestion

_MAPS = 3
"""Photographs on which methods differ whose maps are shown."""


@dataclass(frozen=True)
class SettingResults:
    """The results of one layer and utility."""

    title: str
    table: TextTable
    figures: tuple[ReportFigure, ...]
    disagreement_section: DisagreementSection | None

    def pictures(self) -> Iterator[Picture]:
        """Yield all pictures, always in the same order."""
        for figure in self.figures:
            if figure.picture is not None:
                yield figure.picture
        if self.disagreement_section is not None:
            for example in self.disagreement_section.examples:
                yield example.picture
                yield from (each.picture for each in example.maps)


@dataclass(frozen=True)
class RunResults:
    """The results of a run as far as it was measured; `state` is another number where more of it was."""

    state: int
    images: int
    measured: int
    models: tuple[str, ...]
    methods: tuple[str, ...]
    metrics: tuple[Metric, ...]
    outcome: tuple[str, ...]
    measure: str
    settings: tuple[SettingResults, ...]

    @property
    def pictures(self) -> tuple[Picture, ...]:
        """Return all pictures, in the order of their numbers in addresses."""
        return tuple(picture for setting in self.settings for picture in setting.pictures())


def run_results(resolved: ResolvedQuestion) -> RunResults:
    """Return the results of the question's run, from the cache where no more of the run was measured since.

    Raises:
        OptionError: the run is not offered, has no results yet, or did not measure the question's metric.
    """
    store = resolved.resources.runs.open(resolved.question.run)
    metric = _metric(resolved.question.metric, measured_metrics([store]))
    state = sum(len(store.measured(model)) for model in store.manifest["order"])
    results: RunResults = resolved.resources.results.get(
        ("results", str(store.storage), metric, state), lambda: _read(store, metric, state, resolved), resolved.check
    )
    return results


def _metric(text: str, measured: Sequence[Metric]) -> str | None:
    """Return the name of the metric that an address asks for; None for the default."""
    if not text:
        return None
    names = [metric.name for metric in measured]
    name = canonical_metric(text)
    if name not in names:
        raise OptionError(f"metric {text!r} was not measured in this run; {nearest(text, names)}")
    return name


def _trusted(store: Store, offered: Sequence[str]) -> str | None:
    """Return the model of a run that the operator offers too, so that its code may run; None without one."""
    return next((name for name in offered if printable_name(name) in store.manifest["order"]), None)


def _read(store: Store, metric: str | None, state: int, resolved: ResolvedQuestion) -> RunResults:
    summary = summarise_runs([store])
    models = resolved.resources.models
    reproducer = MapReproducer([store], trusted=_trusted(store, models.offered), device=models.device)
    tables = text_tables(summary, intervals=True, against=None)
    curves = read_curves([store])
    settings = []
    for (layer, utility), table in zip(summary.settings, tables, strict=True):
        resolved.check()
        results = summary.at(layer, utility)
        section = disagreement_section([store], results, reproducer, _MAPS, metric)
        settings.append(
            SettingResults(f"Layer {layer}, utility {utility}", table, tuple(figures(results, curves)), section)
        )
    protocol = store.manifest["protocol"]
    return RunResults(
        state=state,
        images=store.images,
        measured=max(group.images for group in summary.groups),
        models=tuple(store.manifest["order"]),
        methods=tuple(protocol["methods"]),
        metrics=tuple(measured_metrics([store])),
        outcome=tuple(describe_results(summary)),
        measure=describe_metric(summary),
        settings=tuple(settings),
    )
