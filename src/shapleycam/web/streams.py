"""Responses that end if the visitor leaves: streams of server-sent events, and the results of jobs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from contextlib import aclosing
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

_HEARTBEAT = 15.0
"""Seconds between comments in a stream: without them proxies may close it, and a visitor's leaving is not noticed."""


class EventStream(Response):
    """A response of server-sent events, each with one piece of HTML; if the visitor leaves, `events` is closed."""

    media_type = "text/event-stream"

    def __init__(self, events: AsyncGenerator[str, None]) -> None:
        # X-Accel-Buffering makes nginx forward each event at once.
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["Content-Length"]
        self._events = events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - as ASGI calls it
        """Send the events."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await until_left(self._send_all(send), receive)
        await send({"type": "http.response.body", "body": b""})

    async def _send_all(self, send: Send) -> None:
        heart = asyncio.create_task(self._beat(send))
        try:
            async with aclosing(self._events) as events:
                async for html in events:
                    await send({"type": "http.response.body", "body": _event(html), "more_body": True})
        finally:
            heart.cancel()

    @staticmethod
    async def _beat(send: Send) -> None:
        while True:
            await asyncio.sleep(_HEARTBEAT)
            await send({"type": "http.response.body", "body": b": \n\n", "more_body": True})


async def until_left(work: Coroutine[Any, Any, Any], receive: Receive) -> Any:
    """Return the result of a coroutine; if the visitor leaves before, cancel it and return None."""
    task, watch = asyncio.create_task(work), asyncio.create_task(_left(receive))
    try:
        await asyncio.wait({task, watch}, return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else None
    finally:
        for each in (task, watch):
            each.cancel()
        await asyncio.gather(task, watch, return_exceptions=True)


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _event(html: str) -> bytes:
    """Return HTML as one server-sent event."""
    return ("".join(f"data: {line}\n" for line in html.splitlines()) + "\n").encode()
