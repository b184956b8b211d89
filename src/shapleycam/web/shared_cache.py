"""A bounded cache for expensive results; an entry is made once, even if several threads request it at the same time."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from math import inf
from threading import Lock
from typing import Generic, TypeVar

from shapleycam.web.size_in_bytes import size_in_bytes

Value = TypeVar("Value")
_SECONDS_TO_CHECK = 0.1


class _Entry(Generic[Value]):
    """One entry; one thread makes its value while others wait."""

    def __init__(self, *values: Value) -> None:
        self.lock, self.values = Lock(), list(values)
        self.size = 0


class SharedCache(Generic[Value]):
    """Keeps the `most` most recently used entries, up to `megabytes` together; the newest one is always kept.

    Examples:
        >>> from shapleycam.web.shared_cache import SharedCache
        >>> cache = SharedCache(1)
        >>> cache.get("a", lambda: 1), cache.get("a", lambda: 2), cache.get("b", lambda: 3), len(cache)
        (1, 1, 3, 1)
    """

    def __init__(self, most: int, megabytes: float = inf) -> None:
        self._most, self._most_bytes, self._bytes = most, megabytes * 1_000_000, 0
        self._lock = Lock()
        self._entries: OrderedDict[Hashable, _Entry[Value]] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], Value], check: Callable[[], None] = lambda: None) -> Value:
        """Return the value of a key, and make it if it is missing; if making fails, the next call tries again.

        `check` is called while another thread makes the value, and may raise an error to stop waiting.
        """
        with self._lock:
            entry = self._entries.setdefault(key, _Entry())
            self._entries.move_to_end(key)
            self._remove_oldest()
        while not entry.lock.acquire(timeout=_SECONDS_TO_CHECK):
            check()
        try:
            if not entry.values:
                entry.values.append(make())
                self._count(key, entry)
            return entry.values[0]
        finally:
            entry.lock.release()

    def put(self, key: Hashable, value: Value) -> None:
        """Set the value of a key."""
        entry = _Entry(value)
        with self._lock:
            self._remove(key)
            self._entries[key] = entry
        self._count(key, entry)

    def peek(self, key: Hashable) -> Value | None:
        """Return the value of a key; None if it does not exist yet."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is None or not entry.values:
                return None
            self._entries.move_to_end(key)
            return entry.values[0]

    def remove_where(self, is_unwanted: Callable[[Hashable], bool]) -> None:
        """Remove the entries whose keys fulfil a condition."""
        with self._lock:
            for key in [key for key in self._entries if is_unwanted(key)]:
                self._remove(key)

    def __len__(self) -> int:
        """Return the number of entries."""
        return len(self._entries)

    def _count(self, key: Hashable, entry: _Entry[Value]) -> None:
        size = size_in_bytes(entry.values[0])
        with self._lock:
            if self._entries.get(key) is entry:  # the entry may have been removed while its value was made
                entry.size = size
                self._bytes += size
                self._remove_oldest()

    def _remove_oldest(self) -> None:
        while len(self._entries) > self._most or (self._bytes > self._most_bytes and len(self._entries) > 1):
            self._remove(next(iter(self._entries)))

    def _remove(self, key: Hashable) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._bytes -= entry.size
