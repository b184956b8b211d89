"""Limits on the number of requests that one client, and all clients together, may have at the same time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_network

from starlette.requests import HTTPConnection


class TooManyError(Exception):
    """A client, or all clients together, have too many requests at the same time."""


class ClientLimit:
    """Allows at most `together` requests of a kind at the same time, and at most `each` from one client address.

    Only the event loop uses it, so it has no lock. Many people may share an address, so `each` should not be small.
    """

    def __init__(self, each: int, together: int) -> None:
        self._each, self._together = each, together
        self._counts: Counter[str] = Counter()

    @contextmanager
    def hold(self, client: str) -> Iterator[None]:
        """Return a context that counts a request until it ends.

        Raises:
            TooManyError: there are already too many requests.
        """
        if self._counts[client] >= self._each or self._counts.total() >= self._together:
            raise TooManyError
        self._counts[client] += 1
        try:
            yield
        finally:
            self._counts[client] -= 1
            if not self._counts[client]:
                del self._counts[client]


def address_of(connection: HTTPConnection) -> str:
    """Return the address of a request's client; for IPv6 its /64 network, because one client has all its addresses."""
    host = connection.client.host if connection.client else ""
    return str(ip_network((host, 64), strict=False)) if ":" in host and "%" not in host else host
