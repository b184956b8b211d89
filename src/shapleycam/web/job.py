"""What the page's threads work on: an answer in the making, and its states."""

from __future__ import annotations

from collections.abc import Callable, Generator, Hashable
from dataclasses import dataclass
from typing import TypeAlias

from shapleycam.errors import ShapleyCamError

Content: TypeAlias = str | bytes | ShapleyCamError
"""HTML, the bytes of a file, or why there is none."""


class Cancelled(BaseException):
    """Ends the work from inside where nobody waits for it any more; no handler of errors is meant to catch it."""


@dataclass(frozen=True)
class Update:
    """State of a job: its place in the queue (0: at work), or its latest content.

    With `is_last` nothing follows; the content is then the answer, or None where the work failed or was stopped.
    """

    place: int
    content: Content | None = None
    is_last: bool = False


Check = Callable[[], None]
"""To be called as often as possible by work: raises `Cancelled` where nobody waits any more, and may pause."""
Work = Callable[[Check], Generator[Content, None, None]]
"""Makes an answer in steps, each content that replaces the one before."""


class Job:
    """An answer in the making, shared by all who wait for it."""

    def __init__(self, key: Hashable, work: Work, order: tuple[int, int]) -> None:
        self.key, self.work, self.order = key, work, order
        self.content: Content | None = None
        self.is_done = self.is_cancelled = self.is_complete = False
        self.turn_began = 0.0
        self.listeners: list[Callable[[], None]] = []

    def notify(self) -> None:
        """Wake all who wait for it."""
        for listener in self.listeners:
            listener()


class QueueFullError(Exception):
    """Too many answers are waiting to be made."""
