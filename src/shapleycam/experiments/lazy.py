"""Something dear that a process makes once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Lazy(Generic[T]):
    """What `make` makes, when it is first asked for, and the same from then on; it travels to others as `make`."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._made: list[T] = []

    def __call__(self) -> T:
        """What was made."""
        if not self._made:
            self._made.append(self._make())
        return self._made[0]

    def forget(self) -> None:
        """Let go of it; it is made again if asked for."""
        self._made.clear()

    def __reduce__(self) -> tuple[type[Lazy[T]], tuple[Callable[[], T]]]:
        return type(self), (self._make,)
