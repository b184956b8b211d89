"""The sessions of visitors who have logged in, and the failed attempts of clients."""

from __future__ import annotations

import hashlib
import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

HOURS = 12
"""Hours that a visitor stays logged in."""
_MOST_SESSIONS, _MOST_CLIENTS = 10_000, 10_000
_FREE_ATTEMPTS, _LONGEST_WAIT, _FORGET = 5, 60, 900
"""The number of attempts without a wait; the longest wait, and the time to forget failures, in seconds."""


class Sessions:
    """The visitors who have logged in, by random tokens; the server stores only hashes of these."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._expiries: OrderedDict[bytes, float] = OrderedDict()

    def begin(self) -> str:
        """Start a session, and return its token; if there are too many sessions, the oldest ends."""
        token = secrets.token_urlsafe(32)
        self._expiries[_hash(token)] = self._clock() + HOURS * 3600
        while len(self._expiries) > _MOST_SESSIONS:
            self._expiries.popitem(last=False)
        return token

    def is_valid(self, token: str) -> bool:
        """Return whether a token belongs to a session that has not ended."""
        return self._expiries.get(_hash(token), 0.0) > self._clock()

    def end(self, token: str) -> None:
        """End a session."""
        self._expiries.pop(_hash(token), None)


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="backslashreplace")).digest()


@dataclass(frozen=True)
class _Failures:
    count: int
    last: float


class Attempts:
    """The failed attempts of each client: after five, the wait before the next doubles each time, up to a minute."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._failures: OrderedDict[str, _Failures] = OrderedDict()

    def wait_of(self, client: str) -> int:
        """Return the seconds until a client may try again; 0 if it may try now."""
        failures = self._failures.get(client)
        if failures is None or failures.count < _FREE_ATTEMPTS:
            return 0
        wait = min(_LONGEST_WAIT, 1 << min(9, failures.count - _FREE_ATTEMPTS))
        return max(0, round(failures.last + wait - self._clock() + 0.5))

    def count(self, client: str) -> None:
        """Count an attempt; it is a failure unless `forgive` is called."""
        before = self._failures.pop(client, None)
        now = self._clock()
        counts = before is not None and now - before.last < _FORGET
        self._failures[client] = _Failures((before.count if counts and before else 0) + 1, now)
        while len(self._failures) > _MOST_CLIENTS:
            self._failures.popitem(last=False)

    def forgive(self, client: str) -> None:
        """Remove the failures of a client after a successful login."""
        self._failures.pop(client, None)
