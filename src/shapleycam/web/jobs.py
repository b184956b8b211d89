"""`Jobs`: a bounded number of threads, a queue with visible places, and cancellation of jobs nobody waits for."""

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
"""Seconds after which a job pauses for those in the queue, and after which it continues in any case."""
_THREADS_OF_PAUSED = 6
"""Threads for paused jobs: this number of long jobs may pause; the next job waits in the queue."""
_SHORT_JOBS = 4
"""The queue may hold this many times more short jobs than others, because an answer has several pictures."""
_SETTLE = 0.02
"""Seconds between a change and the next state, so that the last step and the end are one state."""


class Jobs:
    """Threads that run jobs in the order of their arrival; long jobs pause while others are in the queue.

    A job runs in one thread from beginning to end. If its turn is over and others are in the queue, `check` lets
    another job run and waits until the queue is empty, or for two seconds; then the job has another turn. So a long job
    slows others down but cannot block them, and it also makes progress itself.

    Args:
        at_once: the number of jobs that run at the same time.
        most_waiting: the maximum number of jobs in the queue.
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
        """Yield the states of the job with a key, which starts if it does not exist.

        The job is cancelled if all who follow it stop early. Short jobs come before all others in the queue.

        Raises:
            QueueFullError: too many jobs are waiting, or the server is stopping.
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
        """Accept no more jobs, and cancel all; those who follow a job get its last state at once."""
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
        """Whether jobs are no longer accepted or finished."""
        return self._is_closed

    def close(self, seconds: float) -> bool:
        """Stop, and return whether all threads ended within this time: work ends only when it calls `check`."""
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
            self._changed.notify_all()  # the job may be paused

    def _state(self, job: Job) -> Update:
        with self._changed:
            if job.is_done:
                return Update(0, job.content if job.is_complete else None, is_last=True)
            place = self._queue.index(job) + 1 if job in self._queue else 0
            return Update(0 if place <= self._free else place, job.content)  # free threads start the first ones at once

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
        except Exception:  # noqa: BLE001 - an error of the page itself: answers that fail are HTML. The thread goes on
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
            self._free -= 1  # below 0 if no other job paused: otherwise this job might never continue
            job.turn_began = monotonic()
        if job.is_cancelled:
            raise Cancelled

    def _forget(self, job: Job) -> None:
        if self._jobs.get(job.key) is job:
            del self._jobs[job.key]

    def _notify_queue(self) -> None:
        for job in self._queue:
            job.notify()
