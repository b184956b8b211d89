"""A value that is built on first use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Lazy(Generic[T]):
    """A lazily created value, built at most once per process.

    A pickle contains the function that builds the value, not the value. Another process builds its own: a model is
    loaded on the machine that runs it.

    Examples:
        >>> from shapleycam.experiments.lazy import Lazy
        >>> numbers = Lazy(lambda: list(range(3)))
        >>> numbers() is numbers()
        True
    """

    def __init__(self, build: Callable[[], T]) -> None:
        self._build = build
        self._values: list[T] = []  # empty or one value; not an Optional, because None may be the value

    def __call__(self) -> T:
        """Return the value; the first call builds it."""
        if not self._values:
            self._values.append(self._build())
        return self._values[0]

    def release(self) -> None:
        """Drop the value to free its memory; the next call builds it again."""
        self._values.clear()

    def __reduce__(self) -> tuple[type[Lazy[T]], tuple[Callable[[], T]]]:
        return type(self), (self._build,)
