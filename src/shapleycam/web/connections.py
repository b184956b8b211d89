"""A protocol that closes connections on which no request arrives."""

from __future__ import annotations

from asyncio import Transport
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

_SECONDS = 20.0
"""The head of a request may always take this time; after at most twice this time the connection is closed."""


class TimedProtocol(H11Protocol):
    """uvicorn's HTTP/1.1 protocol with a limit on the time that a connection may be open without a request."""

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override] # as in uvicorn
        """Start to monitor a connection."""
        super().connection_made(transport)
        self._watch(None)

    def _watch(self, last: Any) -> None:
        """Close the connection if it is idle and no request came since the last check, when `last` was the cycle."""
        if self.transport.is_closing():
            return
        is_idle = self.cycle is None or self.cycle.response_complete
        if is_idle and last is not None and self.cycle is last[0]:
            self.transport.close()
            return
        self.loop.call_later(_SECONDS, self._watch, (self.cycle,) if is_idle else None)
