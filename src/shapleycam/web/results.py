"""The last tab: a run of `evaluate`, as a table to sort, as plots, and by the images on which methods differ most."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO

from matplotlib.figure import Figure

from shapleycam.errors import OptionError, nearest
from shapleycam.experiments import Store
from shapleycam.experiments.results import Summary, disagreements
from shapleycam.experiments.results.plots import metric_against_metric, rank_diagram
from shapleycam.experiments.results.sheets import Entry, sheets
from shapleycam.experiments.runs import summary_of
from shapleycam.metrics import METRICS
from shapleycam.web import markup
from shapleycam.web.markup import Html, text

_SHOWN = 8
"""Images on which methods differ, for each model."""


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


def shown(store: Store, metric: str | None) -> str:
    """A run as the page shows it; the images are those on which methods differ most by `metric`."""
    summary = summary_of([store])
    measured = metrics_of(store)
    chosen = metric if metric in measured else measured[0]
    plots = f'<div class="sc-grid sc-plots">{"".join(_plots(summary))}</div>'
    tables, differing = "".join(_tables(summary)), "".join(_differing(store, summary, chosen))
    return f'<article class="sc-view"><p class="sc-where">{_what(store)}</p>{tables}{plots}{differing}</article>'


def _what(store: Store) -> str:
    protocol = store.manifest["protocol"]
    return text(
        f"{store.images} images, {', '.join(store.manifest['order'])}; {len(protocol['methods'])} methods by "
        f"{len(protocol['metrics'])} metrics. Choose a head of the table to sort by it."
    )


def _tables(summary: Summary) -> Iterator[str]:
    for sheet in sheets(summary, intervals=True, against=None):
        rows = ((line.method, line.model, *map(_entry, line.entries)) for line in sheet.lines)
        yield markup.table(("method", "model", *sheet.heads[2:]), rows, sheet.caption)
        yield "".join(f'<p class="sc-note">{text(note)}</p>' for note in sheet.notes)


def _entry(entry: Entry) -> Html:
    form = "<strong>{}</strong>" if entry.best else "<u>{}</u>" if entry.second else "{}"
    return Html(form.format(text(entry.text + "*" * entry.marked)))


def _plots(summary: Summary) -> Iterator[str]:
    names = [column.name for column in summary.columns]
    for layer, utility in summary.settings:
        here = summary.at(layer, utility)
        if len(names) > 1:
            figure = metric_against_metric(summary, names[0], names[-1], layer=layer, utility=utility)
            yield _plot(figure, f"{names[0]} against {names[-1]}", f"layer {layer}, utility {utility}")
        if len(here.groups) > 1 and len({cell.method for cell in here.cells}) > 2:
            figure = rank_diagram(summary, names[0], layer=layer, utility=utility)
            yield _plot(figure, f"mean ranks by {names[0]}", f"layer {layer}, utility {utility}")


def _plot(figure: Figure, title: str, where: str) -> str:
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=130)
    source = markup.data_uri(buffer.getvalue(), "image/png")
    return (
        f'<figure class="sc-card"><img src="{source}" alt="{text(f"plot of {title}, a point a method, {where}")}">'
        f"<figcaption><strong>{text(title)}</strong> {text(where)}</figcaption></figure>"
    )


def _differing(store: Store, summary: Summary, metric: str) -> Iterator[str]:
    rows = store.rows()
    heads = ("image", "model", "best", "by it", "worst", "by it", "apart")
    for layer, utility in summary.settings:
        found = [
            one
            for group in summary.at(layer, utility).groups
            for one in disagreements(rows, metric, model=group.model, layer=layer, utility=utility, count=_SHOWN)
        ]
        body = (
            (d.image, d.model, d.best, f"{d.best_value:.3f}", d.worst, f"{d.worst_value:.3f}", f"{d.spread:.3f}")
            for d in found
        )
        caption = f"Images on which methods differ most by {metric}; layer {layer}, utility {utility}"
        yield markup.table(heads, body, caption)
