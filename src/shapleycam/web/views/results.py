"""The tab Results: a run of `evaluate`, as tables, as figures, and by the photographs on which methods differ most."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from shapleycam.errors import OptionError
from shapleycam.report.pictures import SVG, Picture
from shapleycam.web.addresses import picture_address, view_address
from shapleycam.web.resolved import ResolvedQuestion
from shapleycam.web.run_results import RunResults, run_results
from shapleycam.web.views.view import Render, View
from shapleycam.wording import counted


def _answer(resolved: ResolvedQuestion, render: Render) -> Iterator[str]:
    runs = resolved.resources.runs.names
    if not runs:
        yield render("no_run.html")
        return
    results = run_results(resolved)
    html = render(
        "run.html",
        name=resolved.question.run or runs[0],
        results=results,
        summary=_summary(results),
        source=_sources(resolved, results),
        metric_rows=[
            (metric.name, metric.title, metric.summary, metric.better, metric.source) for metric in results.metrics
        ],
        by_metric={metric: view_address(resolved, "results", metric=metric.name) for metric in results.metrics},
    )
    yield results.hidden.hide(html)


def _summary(results: RunResults) -> str:
    """Return of what the results are."""
    measured = counted(results.measured, "photograph")
    if results.measured < results.images:
        measured = f"{results.measured:,} of {counted(results.images, 'photograph')} so far"
    networks, methods = ", ".join(results.models), counted(len(results.methods), "method")
    return f"{measured}, {networks}, {methods}, {counted(len(results.metrics), 'metric')}."


def _sources(resolved: ResolvedQuestion, results: RunResults) -> Callable[[Picture], str]:
    """Return the function from a picture of the results to its address."""
    addresses = {}
    for number, picture in enumerate(results.pictures):
        kind = "run-drawing" if picture.media_type == SVG else "run-map"
        addresses[picture] = picture_address(resolved, kind, part=f"{results.state}.{number}")
    return addresses.__getitem__


def picture_of_run(resolved: ResolvedQuestion) -> bytes:
    """Return a picture of the question's run by its number, which `part` has after the state of the run.

    Raises:
        OptionError: there is no such picture, or the run is another or has other results since.
    """
    results = run_results(resolved)
    parts = {f"{results.state}.{number}": picture for number, picture in enumerate(results.pictures)}
    if resolved.question.part not in parts:
        raise OptionError(
            f"the run has no picture {resolved.question.part[:40]!r} (any more); reload the page for its results"
        )
    return parts[resolved.question.part].content


VIEW = View("results", "Results", ("run", "metric"), _answer, controls="results_controls.html", lasts=False)
