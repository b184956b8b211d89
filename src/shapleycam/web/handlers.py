"""What the page does when somebody acts on it: each answer is HTML, and so is each refusal."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec

from shapleycam.errors import ShapleyCamError
from shapleycam.values.tolerance import check_tolerance
from shapleycam.web import coalitions, compare, explain, fidelity, markup, results
from shapleycam.web.photographs import Limits, Photograph, checked, received
from shapleycam.web.question import Question, numbered
from shapleycam.web.results import Runs
from shapleycam.web.shelf import Shelf
from shapleycam.web.steps import said_of, stoppable

Given = ParamSpec("Given")
_LOG = logging.getLogger(__name__)


def answered(handler: Callable[Given, Iterator[str]]) -> Callable[Given, Iterator[str]]:
    """A handler whose failures are messages in the page; the server goes on."""

    @wraps(handler)
    def wrapped(*args: Given.args, **kwargs: Given.kwargs) -> Iterator[str]:
        try:
            yield from handler(*args, **kwargs)
        except ShapleyCamError as error:
            yield markup.message(error)
        except Exception as error:  # noqa: BLE001  one bad request must not end the server
            _LOG.exception("a request failed")
            yield markup.message(
                f"This could not be done ({type(error).__name__}); the server has logged why and goes on"
            )

    return wrapped


class Handlers:
    """What the page can be asked; `shelf` and `runs` are all that it can reach."""

    def __init__(self, shelf: Shelf, runs: Runs, limits: Limits) -> None:
        self._shelf, self._runs, self._limits = shelf, runs, limits

    def receive(self, path: Path) -> tuple[Photograph | None, str]:
        """A photograph that arrived, or a message."""
        try:
            return received(path, self._limits), ""
        except ShapleyCamError as error:
            return None, markup.message(error)

    def example(self, path: Path) -> tuple[Photograph | None, str]:
        """A photograph of the operator's, or a message."""
        try:
            return checked(path.name, path.read_bytes(), self._limits), ""
        except (ShapleyCamError, OSError) as error:
            return None, markup.message(error)

    def classes(self, model: str) -> tuple[list[str], str]:
        """The entries of a model's list of classes, or none and a message."""
        try:
            return numbered(self._shelf.model(model).network.labels), ""
        except ShapleyCamError as error:
            return [], markup.message(error)

    def explain(self, method: str, *asked: Any) -> Iterator[tuple[str, list[tuple[str, str]] | None]]:
        """HTML and the likeliest classes; None leaves these as they are."""
        top: list[list[tuple[str, str]]] = []

        @answered
        def steps() -> Iterator[str]:
            question = self._question(*asked)
            work = stoppable(lambda progress: explain.explained(question, method, progress))
            found = yield from said_of(work, markup.sampling)
            top.append(found.top)
            yield explain.shown(found)

        for html in steps():
            yield html, top[-1] if top else None

    @property
    def compare(self) -> Callable[..., Iterator[str]]:
        """HTML of several methods."""
        return answered(self._compare)

    @property
    def fidelity(self) -> Callable[..., Iterator[str]]:
        """HTML at each step of the sampling."""
        return answered(self._fidelity)

    def begin(self, *asked: Any) -> Iterator[tuple[str, str]]:
        """HTML of the board, and of what everybody together is worth once it is there."""
        worth: list[str] = []

        @answered
        def steps() -> Iterator[str]:
            question = self._question(*asked)
            work = stoppable(lambda progress: coalitions.board_shown(question, progress))
            board = yield from said_of(work, markup.sampling)
            worth.append(coalitions.worth_shown(question, None))
            yield board

        for html in steps():
            yield html, "".join(worth)

    @property
    def worth(self) -> Callable[..., Iterator[str]]:
        """HTML of what a coalition is worth."""
        return answered(lambda bits, *asked: iter([coalitions.worth_shown(self._question(*asked), bits)]))

    @property
    def results(self) -> Callable[..., Iterator[str]]:
        """HTML of a run."""
        return answered(lambda run, metric: iter([results.shown(self._runs.opened(run), metric)]))

    def metrics(self, run: str | None) -> list[str]:
        """The metrics of a run; none where it cannot be read."""
        try:
            return results.metrics_of(self._runs.opened(run))
        except ShapleyCamError:
            return []

    def _compare(self, which: str, *asked: Any) -> Iterator[str]:
        question = self._question(*asked)
        work = stoppable(lambda progress: compare.compared(question, which, progress))
        yield (yield from said_of(work, markup.sampling))

    def _fidelity(self, percent: float, *asked: Any) -> Iterator[str]:
        tolerance = float(percent) / 100
        check_tolerance(tolerance)
        yield from fidelity.measured(self._question(*asked), tolerance)

    def _question(self, *asked: Any) -> Question:
        return Question(self._shelf, *asked)
