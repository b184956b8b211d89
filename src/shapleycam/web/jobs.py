"""Work of the page: bounded threads, a queue in which everybody sees their place, and an end where nobody waits."""

from __future__ import annotations

import asyncio
import logging
from bisect import insort
from collections.abc import AsyncGenerator, Callable, Hashable
from contextlib import closing, suppress
from itertools import count
from threading import Condition, Thread
from time import monotonic

from shapleycam.web.job import Cancelled, Content, Job, QueueFullError, Update, Work

_LOG = logging.getLogger(__name__)
_TURN, _PAUSE = 1.0, 2.0
"""Seconds after which a job makes way for those in the queue, and after which it goes on in any case."""
_THREADS_OF_PAUSED = 6
"""Threads beyond those at work: so many long jobs may pause; where more are asked for, the next waits in the queue."""
_SHORT_JOBS = 4
"""Short jobs may be in the queue that many times the number of others: an answer has several pictures."""
_SETTLE = 0.02
"""Seconds between a change and the look at it, so that the last step and the end are one state."""


class Jobs:
    """Threads that work on jobs, first come, first served; long ones pause while others are in the queue.

    A job works in one thread from beginning to end. When its turn is over and others are in the queue, `check` gives
    its place away and waits: until the queue is empty, or for two seconds, after which it has another turn. So a long
    job slows others down, but cannot keep them waiting, and it goes on itself.

    Args:
        at_once: jobs that are worked on at the same time.
        most_waiting: jobs that may be in the queue.
    """

    def __init__(self, at_once: int, most_waiting: int) -> None:
        self._free, self._most_waiting = at_once, most_waiting
        self._changed = Condition()
        self._numbers = count()
        self._queue: list[Job] = []
        self._jobs: dict[Hashable, Job] = {}
        self._is_closed = False
        threads = at_once + _THREADS_OF_PAUSED
        self._threads = [Thread(target=self._run, daemon=True, name=f"page-{i}") for i in range(threads)]
        for thread in self._threads:
            thread.start()

    async def follow(self, key: Hashable, work: Work, *, is_short: bool = False) -> AsyncGenerator[Update, None]:
        """Yield the states of the job of a key, started if it is not there; ending this early may cancel it.

        Short jobs come before all others in the queue.

        Raises:
            QueueFullError: too many are waiting, or the server is stopping.
        """
        loop, changed = asyncio.get_running_loop(), asyncio.Event()

        def wake() -> None:
            with suppress(RuntimeError):  # the loop is closed: the server has stopped
                loop.call_soon_threadsafe(changed.set)

        job = self._join(key, work, wake, is_short=is_short)
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
                    await asyncio.sleep(_SETTLE)
        finally:
            self._leave(job, wake)

    def stop(self) -> None:
        """Take no more jobs, and cancel all; whoever follows one is told at once."""
        with self._changed:
            self._is_closed = True
            for job in self._jobs.values():
                job.is_cancelled = job.is_done = True
                job.notify()
            self._queue.clear()
            self._jobs.clear()
            self._changed.notify_all()

    @property
    def is_closed(self) -> bool:
        """Whether no more work is taken or finished."""
        return self._is_closed

    def close(self, seconds: float) -> bool:
        """Stop, and return whether all threads ended in so many seconds: work ends only where it calls `check`."""
        self.stop()
        deadline = monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _join(self, key: Hashable, work: Work, wake: Callable[[], None], *, is_short: bool) -> Job:
        with self._changed:
            job = self._jobs.get(key)
            if job is None:
                most = self._most_waiting * (_SHORT_JOBS if is_short else 1)
                if self._is_closed or len(self._queue) >= most:
                    raise QueueFullError
                job = self._jobs[key] = Job(key, work, (0 if is_short else 1, next(self._numbers)))
                insort(self._queue, job, key=lambda each: each.order)
                self._changed.notify_all()
            job.listeners.append(wake)
            return job

    def _leave(self, job: Job, wake: Callable[[], None]) -> None:
        with self._changed:
            job.listeners.remove(wake)
            if job.listeners or job.is_done:
                return
            job.is_cancelled = True
            self._forget(job)
            if job in self._queue:
                self._queue.remove(job)
                self._notify_queue()
            self._changed.notify_all()  # it may be pausing

    def _state(self, job: Job) -> Update:
        with self._changed:
            if job.is_done:
                return Update(0, job.content if job.is_complete else None, is_last=True)
            place = self._queue.index(job) + 1 if job in self._queue else 0
            return Update(0 if place <= self._free else place, job.content)  # so many begin in the same moment

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._is_closed or (self._queue and self._free > 0))
                if self._is_closed:
                    return
                job = self._queue.pop(0)
                self._free -= 1
                job.turn_began = monotonic()
                self._notify_queue()
                job.notify()
            self._work_on(job)

    def _work_on(self, job: Job) -> None:
        is_complete = False
        try:
            self._check(job)
            with closing(job.work(lambda: self._check(job))) as steps:
                for content in steps:
                    self._check(job)
                    self._show(job, content)
            is_complete = True
        except Cancelled:
            pass
        except Exception:  # noqa: BLE001 - a fault of the page, since failures of answers are HTML; the thread goes on
            _LOG.exception("an answer failed")
        with self._changed:
            self._free += 1
            job.is_complete = is_complete and not job.is_cancelled
            job.is_done = True
            self._forget(job)
            job.notify()
            self._changed.notify_all()

    def _show(self, job: Job, content: Content) -> None:
        with self._changed:
            job.content = content
            job.notify()

    def _check(self, job: Job) -> None:
        if job.is_cancelled:
            raise Cancelled
        if not self._queue or monotonic() - job.turn_began < _TURN:
            return
        with self._changed:
            self._free += 1
            self._changed.notify_all()
            self._changed.wait_for(lambda: job.is_cancelled or (self._free > 0 and not self._queue), _PAUSE)
            self._free -= 1  # below 0 where it goes on although nobody made way: otherwise it might never
            job.turn_began = monotonic()
        if job.is_cancelled:
            raise Cancelled

    def _forget(self, job: Job) -> None:
        if self._jobs.get(job.key) is job:
            del self._jobs[job.key]

    def _notify_queue(self) -> None:
        for job in self._queue:
            job.notify()
