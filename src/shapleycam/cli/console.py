"""Printing: results to stdout; errors, notes and progress to stderr."""

from __future__ import annotations

import json
import sys
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from math import isnan
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

from shapleycam.cli.live import giving_way, shown
from shapleycam.cli.messages import name_options
from shapleycam.errors import ShapleyCamWarning
from shapleycam.terminal_tables import Head, build_table
from shapleycam.wording import as_json_value, percent

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from rich.console import RenderableType

_INDENT = "  "
_BAR_CELLS = 20
_LONGEST_WORD = 10
"""Width of the column of words before facts, unless a word is longer."""


def print_error(message: str, *, own_texts: Iterable[str] = ()) -> None:
    """Print an error of the library as one line on stderr; `own_texts` in it, such as file names, are not changed."""
    text = " ".join(name_options(message, own_texts=own_texts).split())
    _print_wrapped(f"error: {text}", Console(stderr=True), "red")


def print_note(message: str) -> None:
    """Print a note about a valid result as one line on stderr."""
    _print_wrapped(f"note: {name_options(message)}", Console(stderr=True), "yellow")


def print_line(text: str, style: str = "") -> None:
    """Print a sentence on stdout."""
    _print_wrapped(text, Console(), style)


def terminal_width() -> int | None:
    """Return the terminal's width in characters; None if stdout is not a terminal."""
    console = Console()
    return console.width if console.is_terminal else None


def print_facts(title: str, facts: Mapping[str, str | Sequence[str]]) -> None:
    """Print a title and indented lines "word value"; a list of values has one line each, which is never wrapped."""
    _print_paragraph(title, (), facts)


def print_table(heads: Sequence[Head], rows: Sequence[Sequence[str]]) -> None:
    """Print a table without its empty columns, or a paragraph for each row if the terminal is too narrow."""
    filled = [place for place in range(len(heads)) if place == 0 or any(row[place] for row in rows)]
    heads, rows = [heads[place] for place in filled], [[row[place] for place in filled] for row in rows]
    table = build_table(heads, [[Text(cell) for cell in row] for row in rows], terminal_width())
    if table is not None:
        print_renderable(table)
        return
    for row in rows:
        cells = [(head, cell) for head, cell in zip(heads[1:], row[1:], strict=True) if cell]
        short = ", ".join(f"{head.text} {cell}".strip() for head, cell in cells if head.kind != "text" or not head.text)
        _print_paragraph(
            row[0], [short] if short else (), {h.text: cell for h, cell in cells if h.kind == "text" and h.text}
        )


def print_renderable(renderable: RenderableType, *, soft_wrap: bool = False) -> None:
    """Print an object that rich can render on stdout, above a live display; without a terminal it is not wrapped."""
    console = Console()
    if not console.is_terminal and not soft_wrap:
        console.width = max(160, console.measure(renderable, options=console.options.update(max_width=10_000)).maximum)
    with giving_way(console):
        console.print(renderable, markup=False, emoji=False, highlight=False, soft_wrap=soft_wrap)


def _print_paragraph(title: str, sentences: Iterable[str], facts: Mapping[str, str | Sequence[str]]) -> None:
    """Print a title, with indented sentences and facts below it."""
    console = Console()
    lines = [f"{_INDENT}{line}" for sentence in sentences for line in _wrap(sentence, console, len(_INDENT))]
    longest = max([_LONGEST_WORD, *map(cell_len, facts)])
    for word, value in facts.items():
        values = _wrap(value, console, len(_INDENT) + longest + 1) if isinstance(value, str) else value
        for place, line in enumerate(values):
            in_front = word if place == 0 or not isinstance(value, str) else ""
            lines.append(f"{_INDENT}{in_front:<{longest}} {line}")
    print_renderable(Text("\n").join([Text(title, "bold"), *map(Text, lines)]), soft_wrap=True)


def _print_wrapped(text: str, console: Console, style: str) -> None:
    """Print a text as one line; on a terminal it is wrapped at words, and a word that is too long is not broken."""
    with giving_way(console):
        console.print(Text(f"\n{_INDENT}".join(_wrap(text, console, len(_INDENT))), style), soft_wrap=True)


def _wrap(text: str, console: Console, indent: int = 0) -> list[str]:
    """Return a text's lines: on a terminal wrapped at words, to the width beside the indent; otherwise one line."""
    if not console.is_terminal:
        return [text]
    width = max(20, console.width - indent)
    lines = [""]
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}" if lines[-1] else word
        if not lines[-1] or cell_len(longer) <= width or cell_len(word) > width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def print_json(value: Any) -> None:
    """Print a JSON document on one line of stdout; null stands for NaN and infinities, which JSON does not have."""
    with giving_way(Console()):
        sys.stdout.write(json.dumps(as_json_value(value), allow_nan=False) + "\n")
        sys.stdout.flush()


def print_document(text: str) -> None:
    """Print a text for other programs, such as CSV; in UTF-8 on every system if stdout is a file or a pipe.

    Windows' default encoding for files lacks letters of other languages, which would become escapes in the data.
    """
    if sys.stdout.isatty():
        sys.stdout.write(text)
    else:
        sys.stdout.flush()
        sys.stdout.buffer.write(text.encode(errors="surrogateescape"))
    sys.stdout.flush()


@contextmanager
def notes(*, quiet: bool) -> Iterator[None]:
    """Print the library's warnings as notes inside the context, each text once; print none if `quiet`."""
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
    """A progress bar that also shows the progress of sampling Shapley values."""

    _progress: Progress
    _task: TaskID
    _activity: str

    def advance(self, count: int = 1) -> None:
        """Count `count` more items as done."""
        self._progress.update(self._task, advance=count, description=self._activity)

    def show_sampling(self, count: int, error: float) -> None:
        """Show the number of orders and the relative standard error; for exact values (error NaN), of coalitions."""
        state = f"{count:,} coalitions" if isnan(error) else f"{count} orders, error {percent(error, 1)}"
        self._progress.update(self._task, description=f"{self._activity}, {state}")


@contextmanager
def progress(total: int, activity: str, *, quiet: bool) -> Iterator[Bar]:
    """Show a progress bar on stderr inside the context, if stderr is a terminal; `activity` is its description."""
    console = Console(stderr=True)
    bars = Progress(
        TextColumn("{task.description}"),
        BarColumn(_BAR_CELLS),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        redirect_stdout=sys.stdout.isatty(),
    )
    bar = Bar(bars, bars.add_task(activity, total=total), activity)
    if quiet or not console.is_interactive:  # without a display the bar is not started
        yield bar
        return
    with shown(bars):
        yield bar
