"""The live display of an evaluation: images per second, time left, running means with intervals."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

from shapleycam.cli.live import shown
from shapleycam.terminal_tables import Head, build_table
from shapleycam.wording import counted

if TYPE_CHECKING:
    from shapleycam.metrics import Metric

_SECONDS_BETWEEN_LINES = 30.0
"""Least time between two lines if there is no terminal for a live display."""
_CAPTION = "mean so far ± half of Student's 95% interval; the final table's interval is bootstrapped"
_CAPTION_OF_MEANS = "mean so far"
"""Captions of the running means. Their intervals are not bootstrapped, which would need all values for every batch."""


@dataclass
class RunningMean:
    """The mean of one metric of one method over the images so far, with its interval.

    Mean and squared deviations are updated with each value (Welford 1962), which avoids cancellation for large means.
    """

    count: int = 0
    mean: float = 0.0
    squared_deviations: float = 0.0

    def add(self, value: float | None) -> None:
        """Add a value; None (not measured) and NaN (undefined) are skipped, as in the final table."""
        if value is not None and not math.isnan(value):
            self.count += 1
            step = value - self.mean
            self.mean += step / self.count
            self.squared_deviations += step * (value - self.mean)

    def text(self, *, percent: bool, interval: bool = True) -> str:
        """Return the mean ± half of its interval as text; for a single value only the mean."""
        if not self.count:
            return ""
        scale = 100 if percent else 1
        if self.count == 1 or not interval:
            return f"{scale * self.mean:.2f}"
        from shapleycam.intervals import half_width

        deviation = math.sqrt(self.squared_deviations / (self.count - 1))
        return f"{scale * self.mean:.2f} ± {scale * half_width(deviation, self.count):.2f}"


class Display:
    """A listener of an evaluation that draws a live display on a terminal, or without one writes occasional lines."""

    def __init__(self, metrics: Sequence[Metric], console: Console) -> None:
        self._metrics, self._console = metrics, console
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(20),
            MofNCompleteColumn(),
            TextColumn("{task.fields[speed]}"),
            TimeRemainingColumn(),
            console=console,
        )
        self._task: TaskID = self._progress.add_task("evaluating", total=None, speed="")
        self._means: dict[tuple[str, str, str], list[RunningMean]] = {}
        self._total = self._done = self._done_in_this_run = 0
        self._started = self._last_line = time.monotonic()

    def run_started(self, images: int, done: int) -> None:
        """Set the number of images to measure, and the number that an earlier run has measured."""
        self._total, self._done = images, done
        self._started = self._last_line = time.monotonic()
        self._progress.update(self._task, total=images, completed=done)

    def model_started(self, name: str) -> None:
        """Begin a model with new means."""
        self._means.clear()
        self._progress.update(self._task, description=name)

    def batch_finished(self, images: int, rows: Sequence[dict[str, Any]]) -> None:
        """Count images as done, and add their rows to the means."""
        self._done, self._done_in_this_run = self._done + images, self._done_in_this_run + images
        self._progress.update(self._task, completed=self._done, speed=f"{self._speed:.2f} images/s")
        for row in rows:
            if row["status"] == "ok":
                key = (row["layer"], row["utility"], row["method"])
                means = self._means.setdefault(key, [RunningMean() for _ in self._metrics])
                for mean, metric in zip(means, self._metrics, strict=True):
                    mean.add(row[metric.name])
        if not self._console.is_interactive and time.monotonic() - self._last_line > _SECONDS_BETWEEN_LINES:
            self._last_line = time.monotonic()
            left = (self._total - self._done) / self._speed
            self._console.print(
                f"{self._done} of {self._total} images, {self._speed:.2f} a second, {duration(left)} left",
                markup=False,
                highlight=False,
                soft_wrap=True,
            )

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield self._progress
        if self._means:
            yield self._table(options.max_width)

    @property
    def _speed(self) -> float:
        return self._done_in_this_run / max(time.monotonic() - self._started, 1e-9)

    def _table(self, width: int) -> RenderableType:
        """Return a table of the means so far: with intervals if they fit, else with as many columns as fit."""
        shared = [len({key[place] for key in self._means}) == 1 for place in range(2)] + [False]
        from shapleycam.experiments.results import Column

        names = [Head(head) for head, same in zip(("layer", "utility", "method"), shared, strict=True) if not same]
        heads = [*names, *(Head(Column.of(metric).head, "number") for metric in self._metrics)]
        for intervals in (True, False):
            rows = [self._row(key, shared, means, intervals=intervals) for key, means in self._means.items()]
            table = build_table(heads, rows, width, break_numbers=False)
            if table is not None:
                return Group(table, Text(_CAPTION if intervals else _CAPTION_OF_MEANS, "dim"))
        for count in range(len(heads) - 1, len(names), -1):
            table = build_table(heads[:count], [row[:count] for row in rows], width, break_numbers=False)
            if table is not None:
                more = counted(len(heads) - count, "more metric")
                return Group(table, Text(f"{_CAPTION_OF_MEANS}; {more} in the final table", "dim"))
        return Text(_CAPTION_OF_MEANS, "dim")

    def _row(
        self, key: tuple[str, str, str], shared: Sequence[bool], means: Sequence[RunningMean], *, intervals: bool
    ) -> list[Text]:
        """Return a row of the table: the names that are not `shared` by all rows, and the means."""
        names = [Text(name) for name, same in zip(key, shared, strict=True) if not same]
        figures = zip(means, self._metrics, strict=True)
        return [*names, *(Text(mean.text(percent=metric.percent, interval=intervals)) for mean, metric in figures)]


@contextmanager
def display(metrics: Sequence[Metric], *, quiet: bool) -> Iterator[Display | None]:
    """Show a display on stderr inside the context, and yield it; None if `quiet`."""
    if quiet:
        yield None
        return
    console = Console(stderr=True)
    live_display = Display(metrics, console)
    if not console.is_interactive:
        yield live_display
        return
    with shown(Live(live_display, console=console, transient=True, refresh_per_second=4)):
        yield live_display


def duration(seconds: float) -> str:
    """Return a duration as text: 40 s, 12 min, 3 h 20 min."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
