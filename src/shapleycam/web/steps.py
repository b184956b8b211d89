"""Long work that tells how far it is, and that ends when nobody waits for it any more."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing
from queue import SimpleQueue
from threading import Event, Thread
from typing import Generic, TypeVar

from shapleycam.values._permutation import Progress

Result = TypeVar("Result")
Said = TypeVar("Said")


class _Stopped(BaseException):
    """Ends the work from inside; no handler of errors is meant to catch it."""


class _Work(Thread, Generic[Result]):
    """The work in a thread; `told` gets its steps, and None at its end."""

    def __init__(self, job: Callable[[Progress], Result]) -> None:
        super().__init__(daemon=True)
        self.told: SimpleQueue[tuple[int, float] | None] = SimpleQueue()
        self.stop = Event()
        self.results: list[Result] = []
        self.error: Exception | None = None
        self._job = job

    def run(self) -> None:
        try:
            self.results.append(self._job(self._progress))
        except _Stopped:
            pass
        except Exception as error:  # noqa: BLE001  raised where the result is waited for
            self.error = error
        finally:
            self.told.put(None)

    def _progress(self, orders: int, reached: float) -> None:
        if self.stop.is_set():
            raise _Stopped
        self.told.put((orders, reached))


def stoppable(job: Callable[[Progress], Result]) -> Generator[tuple[int, float], None, Result]:
    """The steps of a job that is given a progress to tell; its result is returned, its error raised.

    Where the generator is closed, as when a visitor stops or leaves, the job ends at its next step.
    """
    work = _Work(job)
    work.start()
    try:
        while (step := work.told.get()) is not None:
            yield step
    finally:
        work.stop.set()
    if work.error is not None:
        raise work.error
    return work.results[0]


def said_of(
    work: Generator[tuple[int, float], None, Result], say: Callable[[int, float], Said]
) -> Generator[Said, None, Result]:
    """The same with something to say at each step."""
    with closing(work):
        while True:
            try:
                orders, reached = next(work)
            except StopIteration as end:
                result: Result = end.value
                return result
            yield say(orders, reached)
