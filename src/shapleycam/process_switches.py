"""`ProcessSwitch`: a setting of the whole process that is on while at least one thread needs it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock, get_ident, local
from typing import ClassVar
from weakref import WeakSet


class ProcessSwitch:
    """A setting of the whole process that the first thread turns on, and the last thread turns off again.

    Threads are counted, not contexts: a nested context of the same thread has no effect. If Ctrl-C interrupts a thread
    within `hold` itself, so that its `depth` is wrong, `tracing.interrupts` corrects it.

    Args:
        turn_on: called when the first thread enters.
        turn_off: called when the last thread has left; it restores the former state. It must allow repeated calls.

    Examples:
        >>> from shapleycam.process_switches import ProcessSwitch
        >>> switch = ProcessSwitch(lambda: print("on"), lambda: print("off"))
        >>> with switch.hold(), switch.hold():
        ...     print(switch.depth)
        on
        2
        off
    """

    instances: ClassVar[WeakSet[ProcessSwitch]] = WeakSet()

    def __init__(self, turn_on: Callable[[], None], turn_off: Callable[[], None]) -> None:
        self._turn_on, self._turn_off = turn_on, turn_off
        self._lock, self._threads, self._local = Lock(), set[int](), local()
        self.instances.add(self)

    @property
    def depth(self) -> int:
        """Return the number of nested contexts that this thread is in."""
        return getattr(self._local, "depth", 0)

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Keep the switch on inside the context."""
        if not self.depth:
            with self._lock:
                if not self._threads:
                    self._turn_on()
                self._threads.add(get_ident())
        self._local.depth = self.depth + 1
        try:
            yield
        finally:
            self.leave_to(self.depth - 1)

    def leave_to(self, depth: int) -> None:
        """Set this thread's number of nested contexts to `depth`; at 0, the last thread turns the switch off."""
        self._local.depth = depth
        if depth:
            return
        with self._lock:
            self._threads.discard(get_ident())
            if not self._threads:
                self._turn_off()
