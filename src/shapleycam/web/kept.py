"""Things that are dear to make, a bounded number of them kept."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock
from typing import Generic, TypeVar

Value = TypeVar("Value")


class _Place(Generic[Value]):
    """Where one thing is made, by one thread, while others wait for it."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.made: list[Value] = []


class Kept(Generic[Value]):
    """The `most` things that were asked for last; each is made once, however many ask for it at the same time."""

    def __init__(self, most: int) -> None:
        self._most, self._lock = most, Lock()
        self._places: OrderedDict[Hashable, _Place[Value]] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], Value]) -> Value:
        """What is kept under a key, made if it is not there; where making fails, the next who asks tries again."""
        with self._lock:
            place = self._places.setdefault(key, _Place())
            self._places.move_to_end(key)
            while len(self._places) > self._most:
                self._places.popitem(last=False)
        with place.lock:
            if not place.made:
                place.made.append(make())
            return place.made[0]

    def __len__(self) -> int:
        """How many there are."""
        return len(self._places)
