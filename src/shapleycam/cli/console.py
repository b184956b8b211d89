"""What is printed where: results to stdout; errors, notes and progress to stderr."""

from __future__ import annotations

import json
import sys
import warnings
from contextlib import contextmanager, nullcontext
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
    """Print a title and indented lines, a word and its value each."""
    console = Console()
    console.print(title, style="bold", **_PLAIN)  # type: ignore[arg-type]
    for word, value in facts.items():
        console.print(f"  {word:<10} {value}", **_PLAIN)  # type: ignore[arg-type]


def print_table(table: Table) -> None:
    """Print a table as wide as the terminal; where the output is none, as wide as the table is."""
    console = Console()
    if not console.is_terminal:
        console.width = max(160, console.measure(table, options=console.options.update(max_width=10_000)).maximum)
    console.print(table)


def print_json(value: Any) -> None:
    """Print a JSON document on one line of stdout."""
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


def print_document(text: str) -> None:
    """Print a text that other programs read, such as CSV: in UTF-8 where stdout is a file or a pipe, on every system.

    Windows' own encoding there has no letters of other languages, and they would become escapes in the data.
    """
    if sys.stdout.isatty():
        sys.stdout.write(text)
    else:
        sys.stdout.flush()
        sys.stdout.buffer.write(text.encode(errors="surrogateescape"))
    sys.stdout.flush()


@contextmanager
def notes(*, quiet: bool) -> Iterator[None]:
    """Print the library's warnings as notes while the context lasts, each text once; none where it is quiet."""
    printed: set[str] = set()
    show_other = warnings.showwarning

    def show(message: Warning | str, category: type[Warning], *rest: Any, **more: Any) -> None:
        if not issubclass(category, ShapleyCamWarning):
            show_other(message, category, *rest, **more)
        elif not quiet and str(message) not in printed:
            printed.add(str(message))
            print_note(str(message))

    with warnings.catch_warnings():
        warnings.simplefilter("always", ShapleyCamWarning)
        warnings.showwarning = show
        yield


@dataclass(frozen=True)
class Bar:
    """A progress bar that also shows how far the sampling of Shapley values is."""

    _progress: Progress
    _task: TaskID
    _activity: str

    def advance(self, count: int = 1) -> None:
        """Count so many more as done."""
        self._progress.update(self._task, advance=count, description=self._activity)

    def show_sampling(self, orders: int, error: float) -> None:
        """Show the orders that were sampled so far, and the relative standard error of the values."""
        self._progress.update(self._task, description=f"{self._activity}, {orders} orders, error {error:.1%}")


@contextmanager
def progress(total: int, activity: str, *, quiet: bool) -> Iterator[Bar]:
    """Show a progress bar on stderr while the context lasts, if that is a terminal; `activity` is its description."""
    console = Console(stderr=True)
    is_shown = console.is_terminal and not quiet
    bars = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not is_shown,
        redirect_stdout=sys.stdout.isatty(),
    )
    with bars if is_shown else nullcontext():  # before rich 14.3 a disabled one ends with an empty line
        yield Bar(bars, bars.add_task(activity, total=total), activity)
