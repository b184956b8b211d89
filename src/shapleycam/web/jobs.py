"""Work of the page: bounded threads, a queue in which everybody sees their place, and an end where nobody waits."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Hashable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from threading import Condition, Thread

_LOG = logging.getLogger(__name__)


class Cancelled(BaseException):
    """Ends the work from inside where nobody waits for it any more; no handler of errors is meant to catch it."""


@dataclass(frozen=True)
class Update:
    """What a job says: its place in the queue (0: at work), or its latest content, HTML or a picture; `is_last` where nothing follows."""

    place: int
    content: str | bytes | None = None
    is_last: bool = False


Work = Callable[[Callable[[], None]], Iterator[str | bytes]]
"""Makes an answer in steps, each content that replaces the one before; it calls its argument as often as it can, which
raises `Cancelled` where nobody waits any more."""


class Job:
    """An answer in the making, shared by all who wait for it."""

    def __init__(self, key: Hashable, work: Work) -> None:
        self.key, self.work = key, work
        self.content: str | bytes | None = None
        self.is_done = self.is_cancelled = False
        self.waiting: list[Callable[[], None]] = []

    def check(self) -> None:
        """Do nothing while somebody waits.

        Raises:
            Cancelled: nobody does.
        """
        if self.is_cancelled:
            raise Cancelled


class Jobs:
    """Threads that work on jobs, first come, first served."""

    def __init__(self, threads: int, most_waiting: int) -> None:
        self._most_waiting, self._changed = most_waiting, Condition()
        self._queue: deque[Job] = deque()
        self._jobs: dict[Hashable, Job] = {}
        self._is_closed = False
        self._threads = [Thread(target=self._run, daemon=True, name=f"page-{i}") for i in range(threads)]
        for thread in self._threads:
            thread.start()

    async def follow(self, key: Hashable, work: Work) -> AsyncIterator[Update]:
        """Yield what the job of a key says, started if it is not there; ending this early may cancel it.

        Raises:
            QueueFullError: too many are waiting.
        """
        loop, changed = asyncio.get_running_loop(), asyncio.Event()

        def wake() -> None:
            with suppress(RuntimeError):  # the loop is closed: the server stops
                loop.call_soon_threadsafe(changed.set)

        job = self._join(key, work, wake)
        last: Update | None = None
        try:
            while last is None or not last.is_last:
                changed.clear()
                update = self._state(job)
                if update != last:
                    yield update
                last = update
                if not update.is_last:
                    await changed.wait()
        finally:
            self._leave(job, wake)

    def close(self) -> None:
        """Cancel everything, and wait for the threads to end."""
        with self._changed:
            self._is_closed = True
            for job in self._jobs.values():
                job.is_cancelled = True
            self._queue.clear()
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(5)

    def _join(self, key: Hashable, work: Work, wake: Callable[[], None]) -> Job:
        with self._changed:
            job = self._jobs.get(key)
            if job is None:
                if len(self._queue) >= self._most_waiting:
                    raise QueueFullError
                job = self._jobs[key] = Job(key, work)
                self._queue.append(job)
                self._changed.notify()
            job.waiting.append(wake)
            return job

    def _leave(self, job: Job, wake: Callable[[], None]) -> None:
        with self._changed:
            job.waiting.remove(wake)
            if job.waiting or job.is_done:
                return
            job.is_cancelled = True
            self._forget(job)
            if job in self._queue:
                self._queue.remove(job)
                self._tell_waiting()

    def _state(self, job: Job) -> Update:
        with self._changed:
            place = self._queue.index(job) + 1 if job in self._queue else 0
            return Update(place, job.content, job.is_done)

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._queue and not self._is_closed:
                    self._changed.wait()
                if self._is_closed:
                    return
                job = self._queue.popleft()
                self._tell_waiting()
                self._tell(job)
            self._work_on(job)

    def _work_on(self, job: Job) -> None:
        try:
            for content in job.work(job.check):
                job.check()
                with self._changed:
                    job.content = content
                    self._tell(job)
        except Cancelled:
            pass
        except Exception:  # an answer's own failures are HTML: this is a fault of the page, and must not end its thread
            _LOG.exception("an answer failed")
        finally:
            with self._changed:
                job.is_done = True
                self._forget(job)
                self._tell(job)

    def _forget(self, job: Job) -> None:
        if self._jobs.get(job.key) is job:
            del self._jobs[job.key]

    def _tell_waiting(self) -> None:
        for job in self._queue:
            self._tell(job)

    @staticmethod
    def _tell(job: Job) -> None:
        for wake in job.waiting:
            wake()


class QueueFullError(Exception):
    """Too many answers are waiting to be made."""
