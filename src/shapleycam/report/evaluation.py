"""The report of an evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from shapleycam.experiments import Store
from shapleycam.experiments.merging import describe_deviations, read_curves, summarise_runs
from shapleycam.experiments.results import Absent, Summary, html
from shapleycam.report import protocol
from shapleycam.report.disagreement import DisagreementSection, disagreement_section
from shapleycam.report.figures import Drawn, figures
from shapleycam.report.map_reproducer import MapReproducer
from shapleycam.report.page import Section, rendered

_NAMED = 50
"""How many photographs without results are named."""
_IN_TITLE = 3
"""How many networks a title names."""


@dataclass(frozen=True)
class Setting:
    """What is said of one layer and utility."""

    section: Section
    table: Markup
    figures: list[Drawn]
    disagreement_section: DisagreementSection | None


@dataclass(frozen=True)
class Missing:
    """Photographs without results: how many, and the first of them with the reason."""

    what: str
    count: int
    named: list[Absent]

    @classmethod
    def of(cls, what: str, absent: Sequence[Absent]) -> Missing:
        """Each photograph once, whatever the number of models and layers."""
        once = {one.index: one for one in reversed(absent)}
        return cls(what, len(once), [once[index] for index in sorted(once)[:_NAMED]])


def of_runs(stores: Sequence[Store], map_reproducer: MapReproducer | None, maps: int = 3) -> bytes:
    """A page on runs that may share a table; `again` makes the maps of `maps` images for each layer and utility.

    Raises:
        OptionError: as `summarise_runs`.
    """
    summary = summarise_runs(stores)
    curves = read_curves(stores)
    settings = [
        Setting(
            Section(f"setting-{number}", f"Layer {layer}, utility {utility}"),
            Markup(html(here := summary.at(layer, utility))),  # noqa: S704  # which escapes what users named
            figures(here, curves),
            disagreement_section(stores, here, map_reproducer, maps),
        )
        for number, (layer, utility) in enumerate(summary.settings, start=1)
    ]
    sections = [
        Section("protocol", "What was done"),
        Section("networks", "Networks"),
        Section("photographs", "Photographs"),
        *(setting.section for setting in settings),
        Section("made", "How the figures were made"),
    ]
    return rendered(
        "run.html",
        title=_title(list(protocol.models(stores))),
        places=[str(store.storage) for store in stores],
        sections=sections,
        words=protocol.in_words(stores),
        unlike=describe_deviations(stores),
        metrics=protocol.measured(stores),
        choices=protocol.all_of_it(stores),
        models=protocol.models(stores),
        dataset=_datasets(stores),
        images=stores[0].images,
        measured=_measured(summary),
        missing=[
            Missing.of("could not be read or explained", summary.errors),
            Missing.of("left out by the class rule", summary.left_out),
        ],
        settings=settings,
        asked=map_reproducer is not None,
        sessions=[session for store in stores for session in store.manifest["sessions"]],
    )


def _title(names: Sequence[str]) -> str:
    return f"Evaluation of {', '.join(names) if len(names) <= _IN_TITLE else f'{len(names)} networks'}"


def _datasets(stores: Sequence[Store]) -> str:
    """What the photographs were called when they were measured."""
    sessions = [session for store in stores for session in store.manifest["sessions"]]
    return ", ".join(dict.fromkeys(session["dataset"] for session in sessions if "dataset" in session))


def _measured(summary: Summary) -> int:
    return max(group.images for group in summary.groups)
