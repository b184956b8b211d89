"""The report on an evaluation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from shapleycam.experiments import Store
from shapleycam.experiments.deviations import describe_deviations
from shapleycam.experiments.merging import read_curves, summarise_runs
from shapleycam.experiments.results import MissingResult, ResultsSummary
from shapleycam.experiments.results.text_tables import TextTable, text_tables
from shapleycam.report import protocol_in_words
from shapleycam.report.disagreement import DisagreementSection, disagreement_section
from shapleycam.report.figures import ReportFigure, figures
from shapleycam.report.map_reproducer import MapReproducer
from shapleycam.report.outcome import describe_metric, describe_results
from shapleycam.report.page import Section, render_page

_NAMED = 50
"""Largest number of photographs without results that are named."""
_IN_TITLE = 3
"""Largest number of networks that the title names."""


@dataclass(frozen=True)
class SettingSection:
    """The section on one layer and utility."""

    section: Section
    table: TextTable
    figures: list[ReportFigure]
    disagreement_section: DisagreementSection | None


@dataclass(frozen=True)
class MissingPhotographs:
    """The photographs without results for one reason: their number, and the first of them with their messages."""

    reason: str
    count: int
    named: list[MissingResult]

    @classmethod
    def from_results(cls, reason: str, results: Sequence[MissingResult]) -> MissingPhotographs:
        """Return the photographs of these results; a photograph counts once, also with several models or layers."""
        photographs = {result.index: result for result in reversed(results)}
        return cls(reason, len(photographs), [photographs[index] for index in sorted(photographs)[:_NAMED]])


def render_runs(stores: Sequence[Store], map_reproducer: MapReproducer | None, maps: int = 3) -> bytes:
    """Return the report on runs, as the bytes of an HTML file; the runs must be comparable in one table.

    `map_reproducer` computes the maps of `maps` images for each layer and utility; with None there are no maps.

    Raises:
        OptionError: the runs cannot share a table, as in `summarise_runs`.

    Examples:
        >>> import torch
        >>> from matplotlib.cbook import get_sample_data
        >>> from shapleycam import Network, Preprocess
        >>> from shapleycam.experiments import Protocol, evaluate
        >>> from shapleycam.report import render_runs
        >>> _ = torch.manual_seed(0)
        >>> layers = torch.nn.Conv2d(3, 4, 3), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(4, 5)
        >>> preprocess = Preprocess(32, (32, 32), mean=(0.5,) * 3, std=(0.5,) * 3)
        >>> network = Network(torch.nn.Sequential(*layers), preprocess, name="tiny")
        >>> photograph = get_sample_data("grace_hopper.jpg", asfileobj=False)
        >>> protocol = Protocol(methods=("gradcam",), metrics=("complexity",), layers=("0",))
        >>> store = evaluate(network, photograph, "run", protocol)
        >>> render_runs([store], map_reproducer=None).startswith(b"<!doctype html>")
        True
    """
    summary = summarise_runs(stores)
    curves, tables = read_curves(stores), text_tables(summary)
    settings = [
        SettingSection(
            Section(f"setting-{number}", f"Layer {layer}, utility {utility}"),
            table,
            figures(results := summary.at(layer, utility), curves),
            disagreement_section(stores, results, map_reproducer, maps),
        )
        for number, ((layer, utility), table) in enumerate(zip(summary.settings, tables, strict=True), start=1)
    ]
    sections = [
        Section("protocol", "What was done"),
        Section("networks", "Networks"),
        Section("photographs", "Photographs"),
        *(setting.section for setting in settings),
        Section("made", "How the figures were made"),
    ]
    return render_page(
        "run.html",
        title=_title(list(protocol_in_words.recorded_models(stores))),
        storages=[str(store.storage) for store in stores],
        sections=sections,
        outcome=describe_results(summary),
        measure=describe_metric(summary),
        sentences=protocol_in_words.describe_protocol(stores),
        deviations=describe_deviations(stores),
        metrics=[(m.name, m.title, m.summary, m.better, m.source) for m in protocol_in_words.measured_metrics(stores)],
        choices=protocol_in_words.list_choices(stores),
        networks=list(_network_rows(stores)),
        dataset=_datasets(stores),
        images=stores[0].images,
        measured=_measured(summary),
        missing=[
            MissingPhotographs.from_results("could not be read or explained", summary.errors),
            MissingPhotographs.from_results("left out by the class rule", summary.left_out),
        ],
        settings=settings,
        with_maps=map_reproducer is not None,
        sessions=list(_session_rows(stores)),
    )


def _network_rows(stores: Sequence[Store]) -> Iterator[tuple[str, ...]]:
    """Yield the table's row for each network."""
    for name, recorded in protocol_in_words.recorded_models(stores).items():
        layers = (rule if rule == layer else f"{rule} is {layer}" for rule, layer in recorded.get("layers", {}).items())
        labels = recorded.get("labels")
        classes = str(len(labels)) if labels else "not named"
        origin, weights = recorded.get("origin") or "not known", recorded.get("weights", "")[:12]
        yield name, origin, ", ".join(layers), classes, weights


def _session_rows(stores: Sequence[Store]) -> Iterator[tuple[str, ...]]:
    """Yield the table's row for each session."""
    sessions = (session for store in stores for session in store.manifest["sessions"])
    for number, session in enumerate(sessions, start=1):
        machine = ", ".join(map(str, session.get("machine", {}).values()))
        versions = ", ".join(f"{name} {version}" for name, version in session.get("versions", {}).items())
        yield str(number), machine, session.get("engine", ""), versions


def _title(names: Sequence[str]) -> str:
    return f"Evaluation of {', '.join(names) if len(names) <= _IN_TITLE else f'{len(names)} networks'}"


def _datasets(stores: Sequence[Store]) -> str:
    """Return the datasets' names at the time of measuring, joined by commas."""
    sessions = [session for store in stores for session in store.manifest["sessions"]]
    return ", ".join(dict.fromkeys(session["dataset"] for session in sessions if "dataset" in session))


def _measured(summary: ResultsSummary) -> int:
    return max(group.images for group in summary.groups)
