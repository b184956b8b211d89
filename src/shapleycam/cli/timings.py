"""The seconds that each phase of a command takes, which `--timings` prints."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator

_FEWEST = 0.005
"""Least duration, in seconds, of a phase that is printed."""


@dataclass
class Timings:
    """The seconds of each phase, in the order in which the phases first began; repeated phases are summed.

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
        """Return timings whose first phase is the start of this process, by the CPU time that it has used so far."""
        return cls({"starting": time.process_time()})

    @contextmanager
    def of(self, phase: str) -> Iterator[None]:
        """Add the time inside the context to a phase."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[phase] = self.seconds.get(phase, 0.0) + time.perf_counter() - start

    def lines(self) -> list[str]:
        """Return a line for each phase that took noticeable time, and a line for the total."""
        noticeable = {phase: seconds for phase, seconds in self.seconds.items() if seconds >= _FEWEST}
        rows = {**noticeable, "total": sum(self.seconds.values())}
        width = max(map(len, rows))
        return [f"time  {phase:<{width}}  {seconds:6.2f} s" for phase, seconds in rows.items()]

    def print(self) -> None:
        """Print the lines on stderr."""
        for line in self.lines():
            typer.echo(line, err=True)
