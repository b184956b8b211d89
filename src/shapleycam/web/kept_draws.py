"""`KeptDraws`: a random sequence whose draws are stored, and continued when more are needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from threading import Lock
from time import monotonic
from typing import Generic, TypeVar

import torch

T = TypeVar("T")


class KeptDraws(Generic[T]):
    """The first draws of a sequence, shared by all who iterate over it; one thread at a time makes the next draw.

    Args:
        more: the sequence.

    Examples:
        >>> from itertools import count, islice
        >>> from shapleycam.web.kept_draws import KeptDraws
        >>> draws = KeptDraws(count(1))
        >>> list(islice(draws.follow(), 3)), list(islice(draws.follow(), 2)), len(draws)
        ([1, 2, 3], [1, 2], 3)
    """

    def __init__(self, more: Iterator[T]) -> None:
        self._more, self._lock = more, Lock()
        self._kept: list[T] = []
        self._seconds = 0.0

    def follow(self, check: Callable[[], None] = lambda: None) -> Iterator[T]:
        """Yield the draws from the first on; `check` is called before each new draw, while no lock is held."""
        place = 0
        while True:
            while len(self._kept) <= place:
                check()
                with self._lock, torch.no_grad():
                    if len(self._kept) <= place:
                        began = monotonic()
                        self._kept.append(next(self._more))
                        self._seconds += monotonic() - began
            yield self._kept[place]
            place += 1

    @property
    def seconds_each(self) -> float:
        """Return the mean time of a draw; 0 before the first."""
        return self._seconds / len(self._kept) if self._kept else 0.0

    def __len__(self) -> int:
        """Return the number of stored draws."""
        return len(self._kept)
