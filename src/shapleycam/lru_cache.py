"""`LRUCache`: a thread-safe cache of bounded size."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from threading import Lock
from typing import Generic, TypeVar

_Key = TypeVar("_Key", bound=Hashable)
_Value = TypeVar("_Value")


class LRUCache(Generic[_Key, _Value]):
    """A cache of the `most` entries that were used last; threads may share it.

    Examples:
        >>> from shapleycam.lru_cache import LRUCache
        >>> squares = LRUCache(2)
        >>> for number in (1, 2, 3):
        ...     squares.put(number, number**2)
        >>> squares.get(1), squares.get(3)
        (None, 9)
    """

    def __init__(self, most: int) -> None:
        self._most, self._lock = most, Lock()
        self._values: OrderedDict[_Key, _Value] = OrderedDict()

    def get(self, key: _Key) -> _Value | None:
        """Return the value of a key; None if it was never set, or was evicted."""
        with self._lock:
            if key not in self._values:
                return None
            self._values.move_to_end(key)
            return self._values[key]

    def put(self, key: _Key, value: _Value) -> None:
        """Set the value of a key, and evict the least recently used entry if there are too many."""
        with self._lock:
            self._values[key] = value
            self._values.move_to_end(key)
            while len(self._values) > self._most:
                self._values.popitem(last=False)

    def __len__(self) -> int:
        """Return the number of entries."""
        return len(self._values)
