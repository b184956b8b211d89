"""Where the time of a command goes: seconds by phase, which `--timings` prints."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator

_FEWEST = 0.005
"""Seconds of a phase that is printed."""


@dataclass
class Timings:
    """The seconds of each phase, in the order in which they began; a phase that comes again is added up.

    Examples:
        >>> from shapleycam.cli.timings import Timings
        >>> timings = Timings({"starting": 0.5})
        >>> with timings.of("explaining"):
        ...     pass
        >>> timings.lines()
        ['time  starting    0.50 s', 'time  total       0.50 s']
    """

    seconds: dict[str, float] = field(default_factory=dict)

    @classmethod
    def of_process(cls) -> Timings:
        """Return timings that begin with this process: the processor's time that it has taken up to now."""
        return cls({"starting": time.process_time()})

    @contextmanager
    def of(self, phase: str) -> Iterator[None]:
        """Add the time of what runs inside to a phase."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[phase] = self.seconds.get(phase, 0.0) + time.perf_counter() - start

    def lines(self) -> list[str]:
        """Return a line for each phase that took a noticeable time, and one for all of them."""
        noticeable = {phase: seconds for phase, seconds in self.seconds.items() if seconds >= _FEWEST}
        rows = {**noticeable, "total": sum(self.seconds.values())}
        width = max(map(len, rows))
        return [f"time  {phase:<{width}}  {seconds:6.2f} s" for phase, seconds in rows.items()]

    def print(self) -> None:
        """Print the lines on stderr."""
        for line in self.lines():
            typer.echo(line, err=True)
