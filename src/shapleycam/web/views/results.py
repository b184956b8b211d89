"""The last tab: a run of `evaluate`, as a table to sort, as plots, and by the images on which methods differ most."""

from __future__ import annotations

from collections.abc import Iterator

from shapleycam.errors import OptionError, nearest
from shapleycam.experiments import Store
from shapleycam.experiments.merging import read_curves, summarise_runs
from shapleycam.experiments.results import ResultsSummary
from shapleycam.experiments.results.text_tables import TableEntry, text_tables
from shapleycam.metrics import METRICS
from shapleycam.report.disagreement import DisagreementSection, disagreement_section
from shapleycam.report.figures import ReportFigure, figures
from shapleycam.report.map_reproducer import MapReproducer
from shapleycam.web import markup
from shapleycam.web.markup import Html, text

_MAPS = 3
"""Images on which methods differ whose maps are shown."""


class Runs:
    """The runs that the operator offers, by name; no other is opened."""

    def __init__(self, places: list[str]) -> None:
        self._places = {
            place.rstrip("/").rpartition("/")[2] if places.count(place) < 2 else place: place for place in places
        }
        if len(self._places) < len(set(places)):
            self._places = {place: place for place in places}

    @property
    def names(self) -> list[str]:
        """What to choose from."""
        return list(self._places)

    def opened(self, name: str | None) -> Store:
        """A run.

        Raises:
            OptionError: it is not offered, or holds no results.
        """
        if not self._places:
            raise OptionError(
                "No run is offered here: start the page by shapleycam web --run FOLDER, a run of evaluate"
            )
        if name not in self._places:
            raise OptionError(f"run {name!r} is not offered by this page; {nearest(str(name), self._places)}")
        return Store(self._places[name])


def metrics_of(store: Store) -> list[str]:
    """The metrics that were measured."""
    return [name for name in METRICS if name in store.manifest["protocol"]["metrics"]]


def shown(store: Store, metric: str | None, device: str | None = None) -> str:
    """A run as the page shows it; the images are those on which methods differ most by `metric`."""
    summary, curves, map_reproducer = (
        summarise_runs([store]),
        read_curves([store]),
        MapReproducer([store], device=device),
    )
    parts = [f'<p class="sc-where">{_what(store)}</p>', *_tables(summary)]
    for layer, utility in summary.settings:
        here = summary.at(layer, utility)
        parts += [f'<div class="sc-grid sc-plots">{"".join(map(_plot, figures(here, curves)))}</div>']
        section = disagreement_section([store], here, map_reproducer, _MAPS, metric)
        parts += _apart(section, f"layer {layer}, utility {utility}")
    return f'<article class="sc-view">{"".join(parts)}</article>'


def _what(store: Store) -> str:
    protocol = store.manifest["protocol"]
    return text(
        f"{store.images} images, {', '.join(store.manifest['order'])}; {len(protocol['methods'])} methods by "
        f"{len(protocol['metrics'])} metrics. Choose a head of the table to sort by it."
    )


def _tables(summary: ResultsSummary) -> Iterator[str]:
    for table in text_tables(summary, intervals=True, against=None):
        rows = ((row.method, row.model, *map(_entry, row.entries)) for row in table.rows)
        yield markup.table(("method", "model", *table.heads[2:]), rows, table.caption)
        yield "".join(f'<p class="sc-note">{text(note)}</p>' for note in table.notes)


def _entry(entry: TableEntry) -> Html:
    form = "<strong>{}</strong>" if entry.best else "<u>{}</u>" if entry.second else "{}"
    return Html(form.format(text(entry.text + "*" * entry.marked)))


def _plot(drawn: ReportFigure) -> str:
    if drawn.picture is None:
        return markup.hint(f"{drawn.title}: {drawn.reason}")
    return (
        f'<figure class="sc-card sc-plot"><img src="{drawn.picture.source}" alt="{text(drawn.picture.alt)}">'
        f"<figcaption>{text(drawn.title)}</figcaption></figure>"
    )


def _apart(found: DisagreementSection | None, where: str) -> Iterator[str]:
    """The images on which methods differ most, and the maps of the first."""
    if found is None:
        return
    heads = ("image", "model", "best", "by it", "worst", "by it", "apart")
    rows = ((d.image, d.model, d.best, best, d.worst, worst, spread) for d, best, worst, spread in found.images)
    yield markup.table(heads, rows, f"Images on which methods differ most by {found.column.name}; {where}")
    if found.reason:
        yield markup.hint(f"The maps of these images are not shown: {found.reason}")
    for example in found.examples:
        name = text(f"{example.disagreement.image}: {example.label}")
        maps = "".join(_map(one.method, one.figure, one.picture.source, one.picture.alt) for one in example.maps)
        whole = _map("photograph", example.disagreement.image, example.picture.source, example.picture.alt)
        yield f'<p class="sc-where">{name}</p><div class="sc-grid">{whole}{maps}</div>'


def _map(title: str, caption: str, source: str, alt: str) -> str:
    below = f"<figcaption><strong>{text(title)}</strong> {text(caption)}</figcaption>"
    return f'<figure class="sc-card"><img src="{source}" alt="{text(alt)}">{below}</figure>'
