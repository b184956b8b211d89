"""How much one client, and all together, may ask for at the same time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_network

from starlette.requests import HTTPConnection


class TooManyError(Exception):
    """A client, or all together, ask for too much at the same time."""


class ClientLimit:
    """At most `together` requests of a kind at the same time, and `each` of one client's address.

    Used by the event loop alone. Many people may share an address, so that `each` is not small.
    """

    def __init__(self, each: int, together: int) -> None:
        self._each, self._together = each, together
        self._counts: Counter[str] = Counter()

    @contextmanager
    def hold(self, client: str) -> Iterator[None]:
        """Count a request while it lasts.

        Raises:
            TooManyError: there are too many already.
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
    """Return the address of the client of a request; of IPv6 the network, of which one client has all addresses."""
    host = connection.client.host if connection.client else ""
    return str(ip_network((host, 64), strict=False)) if ":" in host and "%" not in host else host
