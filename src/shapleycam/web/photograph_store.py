"""`PhotographStore`: uploaded photographs by their content, only in memory, limited in bytes and in time."""

from __future__ import annotations

import hmac
import secrets
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from time import monotonic

from shapleycam.errors import ImageError
from shapleycam.web.photographs import Limits, Photograph, check_photograph

_KEY_DIGITS = 32
_OVERHEAD = 2_000
"""Bytes that an entry counts in addition to the photograph's, so that many tiny photographs are limited too."""


class PhotographGoneError(ImageError):
    """The photograph in an address is not, or no longer, in the store."""


@dataclass
class _Entry:
    photograph: Photograph
    used: float

    @property
    def size(self) -> int:
        return len(self.photograph.content) + _OVERHEAD


class PhotographStore:
    """Stores examples by name, and uploads by a keyed hash of their content, which visitors cannot guess or compute.

    Two visitors with the same photograph share one entry, and visitors cannot remove it. It is removed if it was not
    used for `keep_hours`, or if newer photographs need its bytes. Everything that was made from it must be removed too:
    each function in `listeners` is called with the removed keys, while no lock is held.
    """

    def __init__(
        self,
        examples: Sequence[Path],
        limits: Limits,
        *,
        keep_hours: float,
        megabytes: float,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._limits, self._clock = limits, clock
        self._seconds, self._most_bytes, self._bytes = keep_hours * 3600, int(megabytes * 1_000_000), 0
        self._secret, self._lock = secrets.token_bytes(32), Lock()
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self.examples = {path.stem: check_photograph(path.name, path.read_bytes(), limits) for path in examples}
        self.listeners: list[Callable[[frozenset[str]], None]] = []

    def add(self, content: bytes) -> str:
        """Store a photograph, and return its key.

        Raises:
            ImageError: the photograph is over a limit, empty, not a photograph, or damaged.
        """
        photograph = check_photograph("photograph", content, self._limits)
        key = hmac.digest(self._secret, content, "sha256").hex()[:_KEY_DIGITS]
        with self._lock:
            self._remove(key)
            self._entries[key] = entry = _Entry(photograph, self._clock())
            self._bytes += entry.size
        self.remove_old()
        return key

    def get(self, key: str) -> Photograph:
        """Return the photograph of a key; an empty key means the first example.

        Raises:
            PhotographGoneError: the photograph is not, or no longer, in the store.
        """
        if not key and self.examples:
            return next(iter(self.examples.values()))
        if key in self.examples:
            return self.examples[key]
        self.remove_old()
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                raise PhotographGoneError("This photograph is not here any more; choose it again")
            entry.used = self._clock()
            self._entries.move_to_end(key)
            return entry.photograph

    def remove_old(self) -> None:
        """Remove photographs that were not used for too long, and the oldest ones if there are too many bytes."""
        removed = []
        with self._lock:
            oldest = self._clock() - self._seconds
            while self._entries:
                key, entry = next(iter(self._entries.items()))
                is_over = self._bytes > self._most_bytes and len(self._entries) > 1
                if entry.used >= oldest and not is_over:
                    break
                self._remove(key)
                removed.append(key)
        if removed:
            for listener in self.listeners:
                listener(frozenset(removed))

    def __len__(self) -> int:
        """Return the number of uploaded photographs in the store."""
        return len(self._entries)

    def _remove(self, key: str) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._bytes -= entry.size
