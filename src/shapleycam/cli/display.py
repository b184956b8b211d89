"""How an evaluation shows how far it is: images a second, time left, running means with intervals."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

if TYPE_CHECKING:
    from shapleycam.metrics import Metric

_EVERY = 30.0
"""Seconds between lines where there is no terminal to draw on."""


@dataclass
class _Running:
    """Sums of one metric of one method, for a mean and its interval."""

    count: int = 0
    total: float = 0.0
    squares: float = 0.0

    def add(self, value: float | None) -> None:
        if value is not None and not math.isnan(value):
            self.count, self.total, self.squares = self.count + 1, self.total + value, self.squares + value * value

    def text(self, *, percent: bool) -> str:
        """Mean ± half of the 95 % interval."""
        if not self.count:
            return ""
        mean = self.total / self.count
        spread = math.sqrt(max(self.squares / self.count - mean * mean, 0.0) / self.count)
        scale = 100 if percent else 1
        return f"{scale * mean:.2f} ± {1.96 * scale * spread:.2f}"


class Display:
    """A listener of an evaluation that draws on a terminal, or writes a line now and then where there is none."""

    def __init__(self, metrics: Sequence[Metric], console: Console) -> None:
        self._metrics, self._console = metrics, console
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[speed]}"),
            TimeRemainingColumn(),
            console=console,
        )
        self._task: TaskID = self._progress.add_task("evaluating", total=None, speed="")
        self._means: dict[tuple[str, str, str], list[_Running]] = {}
        self._total = self._done = self._here = 0
        self._started = self._told = time.monotonic()

    def run_started(self, images: int, done: int) -> None:
        """So many images are to be measured, so many were done before."""
        self._total, self._done = images, done
        self._started = self._told = time.monotonic()
        self._progress.update(self._task, total=images, completed=done)

    def model_started(self, name: str) -> None:
        """A model comes next."""
        self._means.clear()
        self._progress.update(self._task, description=name)

    def batch_finished(self, images: int, rows: Sequence[dict[str, Any]]) -> None:
        """So many more images are done; their rows."""
        self._done, self._here = self._done + images, self._here + images
        self._progress.update(self._task, completed=self._done, speed=f"{self._speed:.2f} images/s")
        for row in rows:
            if row["status"] == "ok":
                key = (row["layer"], row["utility"], row["method"])
                sums = self._means.setdefault(key, [_Running() for _ in self._metrics])
                for each, metric in zip(sums, self._metrics, strict=True):
                    each.add(row[metric.name])
        if not self._console.is_terminal and time.monotonic() - self._told > _EVERY:
            self._told = time.monotonic()
            left = (self._total - self._done) / self._speed
            self._console.print(
                f"{self._done} of {self._total} images, {self._speed:.2f} a second, {duration(left)} left",
                markup=False,
                highlight=False,
                soft_wrap=True,
            )

    def __rich__(self) -> RenderableType:
        return Group(self._progress, self._table()) if self._means else self._progress

    @property
    def _speed(self) -> float:
        return self._here / max(time.monotonic() - self._started, 1e-9)

    def _table(self) -> Table:
        table = Table("layer", "utility", "method", box=None, pad_edge=False)
        for metric in self._metrics:
            table.add_column(f"{metric.title} {'↑' if metric.better == 'high' else '↓'}", justify="right")
        for key, sums in self._means.items():
            shown = (each.text(percent=metric.percent) for each, metric in zip(sums, self._metrics, strict=True))
            table.add_row(*key, *shown)
        return table


@contextmanager
def display(metrics: Sequence[Metric], *, quiet: bool) -> Iterator[Display | None]:
    """A display on stderr, gone when the evaluation is; None where it shall be quiet."""
    if quiet:
        yield None
        return
    console = Console(stderr=True)
    shown = Display(metrics, console)
    if not console.is_terminal:
        yield shown
        return
    with Live(shown, console=console, transient=True, refresh_per_second=4):
        yield shown


def duration(seconds: float) -> str:
    """A time in words: 40 s, 12 min, 3 h 20 min."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
