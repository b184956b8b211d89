"""Jobs of the page's threads: a job makes one answer, and has states."""

from __future__ import annotations

from collections.abc import Callable, Generator, Hashable
from dataclasses import dataclass
from typing import TypeAlias

from shapleycam.errors import ShapleyCamError

Content: TypeAlias = str | bytes | ShapleyCamError
"""HTML, the bytes of a file, or the error that explains why there is no file."""


class Cancelled(BaseException):
    """Raised inside a job's work when nobody waits for it any more; handlers of errors should not catch it."""


@dataclass(frozen=True)
class Update:
    """State of a job: its place in the queue (0: in progress), and its latest content.

    If `is_last`, no state follows; the content is then the answer, or None if the work failed or was stopped.
    """

    place: int
    content: Content | None = None
    is_last: bool = False


Check = Callable[[], None]
"""A function that work should call often: it raises `Cancelled` if nobody waits any more, and it may pause."""
Work = Callable[[Check], Generator[Content, None, None]]
"""A function that makes an answer in steps; each content replaces the previous one."""


class Job:
    """The making of an answer, shared by all who wait for it."""

    def __init__(self, key: Hashable, work: Work, order: tuple[int, int]) -> None:
        self.key, self.work, self.order = key, work, order
        self.content: Content | None = None
        self.is_done = self.is_cancelled = self.is_complete = False
        self.turn_began = 0.0
        self.listeners: list[Callable[[], None]] = []

    def notify(self) -> None:
        """Wake all who wait for the job."""
        for listener in self.listeners:
            listener()


class QueueFullError(Exception):
    """Too many answers are waiting to be made."""
