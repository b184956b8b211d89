"""Connections that end where a request does not arrive."""

from __future__ import annotations

from asyncio import Transport
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

_SECONDS = 20.0
"""The head of a request may take so long, and no longer than twice that."""


class TimedProtocol(H11Protocol):
    """HTTP/1.1 as uvicorn speaks it, for connections that may not be held without a request."""

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override] # as in uvicorn
        """Begin to watch a connection."""
        super().connection_made(transport)
        self._watch(None)

    def _watch(self, last: Any) -> None:
        """Close the connection where there was no request since the last look, `last` the one that was there then."""
        if self.transport.is_closing():
            return
        is_idle = self.cycle is None or self.cycle.response_complete
        if is_idle and last is not None and self.cycle is last[0]:
            self.transport.close()
            return
        self.loop.call_later(_SECONDS, self._watch, (self.cycle,) if is_idle else None)
