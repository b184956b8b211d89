"""A bounded cache of what is expensive to make, each entry made once however many ask for it at the same time."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock
from typing import Generic, TypeVar

Value = TypeVar("Value")


class _Entry(Generic[Value]):
    """One entry, which one thread makes while others wait for it."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.values: list[Value] = []


class SharedCache(Generic[Value]):
    """The `most` entries that were used last.

    Examples:
        >>> from shapleycam.web.shared_cache import SharedCache
        >>> cache = SharedCache(1)
        >>> cache.get("a", lambda: 1), cache.get("a", lambda: 2), cache.get("b", lambda: 3), len(cache)
        (1, 1, 3, 1)
    """

    def __init__(self, most: int) -> None:
        self._most, self._lock = most, Lock()
        self._entries: OrderedDict[Hashable, _Entry[Value]] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], Value]) -> Value:
        """Return the value of a key, made if it is not there; where making fails, the next who asks tries again."""
        with self._lock:
            entry = self._entries.setdefault(key, _Entry())
            self._entries.move_to_end(key)
            while len(self._entries) > self._most:
                self._entries.popitem(last=False)
        with entry.lock:
            if not entry.values:
                entry.values.append(make())
            return entry.values[0]

    def peek(self, key: Hashable) -> Value | None:
        """Return the value of a key, or None where it is not there yet."""
        entry = self._entries.get(key)
        return entry.values[0] if entry is not None and entry.values else None

    def __len__(self) -> int:
        """Return how many entries there are."""
        return len(self._entries)
