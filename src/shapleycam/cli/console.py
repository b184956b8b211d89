"""What is printed where: results to stdout; errors, notes and progress to stderr."""

from __future__ import annotations

import json
import sys
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from shapleycam.cli.messages import name_options
from shapleycam.errors import ShapleyCamWarning

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rich.table import Table

_PLAIN = {"markup": False, "emoji": False, "highlight": False, "soft_wrap": True}


def print_error(message: str, *, own_texts: Iterable[str] = ()) -> None:
    """Print an error of the library as one line on stderr; `own_texts` in it, such as file names, stay as they are."""
    text = " ".join(name_options(message, own_texts=own_texts).split())
    Console(stderr=True).print("error:", text, style="red", **_PLAIN)  # type: ignore[arg-type]


def print_note(message: str) -> None:
    """Print one line on stderr about a valid result."""
    Console(stderr=True).print("note:", name_options(message), style="yellow", **_PLAIN)  # type: ignore[arg-type]


def print_facts(title: str, facts: dict[str, str]) -> None:
    """A title and indented lines, a word and its value each."""
    console = Console()
    console.print(title, style="bold", **_PLAIN)  # type: ignore[arg-type]
    for word, value in facts.items():
        console.print(f"  {word:<10} {value}", **_PLAIN)  # type: ignore[arg-type]


def print_table(table: Table) -> None:
    """A table, as wide as the terminal; uncut where the output is not one."""
    console = Console()
    if not console.is_terminal:
        console.width = max(160, console.measure(table, options=console.options.update(max_width=10_000)).maximum)
    console.print(table)


def print_json(value: Any) -> None:
    """One JSON document on one line."""
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


@contextmanager
def notes(*, quiet: bool) -> Iterator[None]:
    """Warnings about valid results as notes, each text once."""
    told: set[str] = set()
    usual = warnings.showwarning

    def show(message: Warning | str, category: type[Warning], *rest: Any, **more: Any) -> None:
        if not issubclass(category, ShapleyCamWarning):
            usual(message, category, *rest, **more)
        elif not quiet and str(message) not in told:
            told.add(str(message))
            print_note(str(message))

    with warnings.catch_warnings():
        warnings.simplefilter("always", ShapleyCamWarning)
        warnings.showwarning = show
        yield


@dataclass(frozen=True)
class Bar:
    """A progress bar: `advance` when one thing is done; `sampled` is told how far the sampling of one is."""

    _progress: Progress
    _task: TaskID
    _what: str

    def advance(self, count: int = 1) -> None:
        """One more is done, or several."""
        self._progress.update(self._task, advance=count, description=self._what)

    def sampled(self, orders: int, error: float) -> None:
        """Shapley values are being sampled: orders so far, and their relative standard error."""
        self._progress.update(self._task, description=f"{self._what}, {orders} orders, error {error:.1%}")


@contextmanager
def progress(total: int, what: str, *, quiet: bool) -> Iterator[Bar]:
    """A bar on a terminal's stderr."""
    console = Console(stderr=True)
    shown = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=quiet or not console.is_terminal,
        redirect_stdout=sys.stdout.isatty(),
    )
    with shown:
        yield Bar(shown, shown.add_task(what, total=total), what)
