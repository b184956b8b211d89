"""Results of a run of `evaluate` for the tab Results: tables, figures, and photographs on which methods differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from shapleycam.errors import OptionError
from shapleycam.experiments import Store
from shapleycam.experiments.merging import read_curves, summarise_runs
from shapleycam.experiments.results import ResultsSummary
from shapleycam.experiments.results.text_tables import TextTable, text_tables
from shapleycam.metrics.metric import Metric
from shapleycam.metrics.table import canonical_metric
from shapleycam.names import nearest
from shapleycam.printable import original_name, printable_name
from shapleycam.report.disagreement import DisagreementSection, disagreement_section
from shapleycam.report.figures import ReportFigure, figures
from shapleycam.report.map_reproducer import MapReproducer
from shapleycam.report.outcome import describe_metric, describe_results
from shapleycam.report.pictures import Picture
from shapleycam.report.protocol_in_words import measured_metrics
from shapleycam.web.hidden_paths import HiddenPaths
from shapleycam.web.model_names import ModelNames
from shapleycam.web.resolved import ResolvedQuestion
from shapleycam.web.visitor_words import visitor_words

_MAPS = 3
"""Number of photographs on which methods differ whose maps are shown."""


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
    """The results of a run so far; `state` identifies the version of the run, and changes with any of its chunks."""

    state: str
    images: int
    measured: int
    models: tuple[str, ...]
    methods: tuple[str, ...]
    metrics: tuple[Metric, ...]
    outcome: tuple[str, ...]
    measure: str
    settings: tuple[SettingResults, ...]
    hidden: HiddenPaths

    @property
    def pictures(self) -> tuple[Picture, ...]:
        """Return all pictures; their order gives their numbers in addresses."""
        return tuple(picture for setting in self.settings for picture in setting.pictures())


def run_results(resolved: ResolvedQuestion) -> RunResults:
    """Return the results of the question's run, from the cache if the run and its chunks have not changed.

    Raises:
        OptionError: the run is not offered, has no results yet, or did not measure the question's metric.
    """
    store = resolved.resources.runs.open(resolved.question.run)
    metric = _metric(resolved.question.metric, measured_metrics([store]))
    state = store.version()
    results: RunResults = resolved.resources.results.get(
        ("results", str(store.storage), metric, state), lambda: _read(store, metric, state, resolved), resolved.check
    )
    return results


def _metric(text: str, measured: Sequence[Metric]) -> str | None:
    """Return the name of the metric in an address; None for the default."""
    if not text:
        return None
    names = [metric.name for metric in measured]
    name = canonical_metric(text)
    if name not in names:
        raise OptionError(f"metric {text!r} was not measured in this run; {nearest(text, names)}")
    return name


def _trusted(store: Store, offered: Sequence[str]) -> str | None:
    """Return a model of a run that the operator also offers, so that its code may run; None if there is none."""
    return next((name for name in offered if printable_name(name) in store.manifest["order"]), None)


def _read(store: Store, metric: str | None, state: str, resolved: ResolvedQuestion) -> RunResults:
    models = resolved.resources.models
    names = _names(store, models.names)
    summary = summarise_runs([store])
    shown = _renamed(summary, names)
    reproducer = MapReproducer([store], trusted=_trusted(store, list(models.names.by_full_name)), device=models.device)
    tables = text_tables(shown, intervals=True, against=None)
    curves = [replace(curve, model=names[curve.model]) for curve in read_curves([store]) or ()]
    settings = []
    for (layer, utility), table in zip(summary.settings, tables, strict=True):
        resolved.check()
        section = disagreement_section([store], summary.at(layer, utility), reproducer, _MAPS, metric)
        if section is not None:
            section = replace(section, reason=visitor_words(section.reason))
        drawn = tuple(figures(shown.at(layer, utility), curves or None))
        settings.append(SettingResults(f"Layer {layer}, utility {utility}", table, drawn, section))
    protocol = store.manifest["protocol"]
    return RunResults(
        state=state,
        images=store.images,
        measured=max(group.images for group in summary.groups),
        models=tuple(names[name] for name in store.manifest["order"]),
        methods=tuple(protocol["methods"]),
        metrics=tuple(measured_metrics([store])),
        outcome=tuple(describe_results(shown)),
        measure=describe_metric(shown),
        settings=tuple(settings),
        hidden=HiddenPaths({**models.names.by_full_name, **names}, resolved.resources.runs.places),
    )


def _names(store: Store, offered: ModelNames) -> dict[str, str]:
    """Return a unique short name for each model of a run."""
    measured = {name: original_name(name) for name in store.manifest["order"]}
    short = ModelNames([*offered.by_full_name, *measured.values()])
    return {name: short.canonical(original) for name, original in measured.items()}


def _renamed(summary: ResultsSummary, names: Mapping[str, str]) -> ResultsSummary:
    """Return a summary with other names of its models."""
    groups = tuple(replace(each, model=names[each.model]) for each in summary.groups)
    cells = tuple(replace(each, model=names[each.model]) for each in summary.cells)
    absent = tuple(replace(each, model=names[each.model]) for each in summary.absent)
    return replace(summary, groups=groups, cells=cells, absent=absent)
