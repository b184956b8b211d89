"""Limits of requests: the length of the address, the size of the body (counted while it arrives), and its duration."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from time import monotonic

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_ADDRESS_BYTES = 16_000
_OTHER_BYTES = 1_000
"""The largest body for paths that expect no body."""
_SECONDS, _BYTES_A_SECOND = 20.0, 10_000
"""The time that a body may always take, and the rate of bytes at which it may take longer."""
_LINGER_SECONDS = 5.0
"""How long the rest of a refused body is read and ignored: closing the connection at once would lose the response."""

Refuse = Callable[[Request, int], Response]
"""Returns a refusal's response, from the request and the status: 413 (too large), 408 (too slow) or 414 (address)."""


class _RefusedError(Exception):
    """Stops the application from reading a body that is refused."""


class BodyLimit:
    """Middleware that refuses requests that are too large or too slow; `limits` has the bytes for paths with a body."""

    def __init__(self, app: ASGIApp, limits: Mapping[str, int], refuse: Refuse) -> None:
        self._app, self._limits, self._refuse = app, limits, refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run a request within the limits."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = self._limits.get(scope["path"], _OTHER_BYTES)
        declared = Headers(scope=scope).get("content-length", "0")
        counted, has_begun = _Counted(receive, limit), False

        async def watched_send(message: Message) -> None:
            nonlocal has_begun
            if counted.refusal is None:  # the application's own response to a refused body is not sent
                has_begun = True
                await send(message)

        if len(scope["path"]) + len(scope.get("query_string", b"")) > _ADDRESS_BYTES:
            counted.refusal = 414
        elif not declared.isdecimal() or int(declared) > limit:
            counted.refusal = 413
        else:
            with suppress(_RefusedError):
                await self._app(scope, counted, watched_send)
        if counted.refusal is not None and not has_begun:
            await self._answer(self._refuse(Request(scope), counted.refusal), scope, receive, send)

    @staticmethod
    async def _answer(response: Response, scope: Scope, receive: Receive, send: Send) -> None:
        response.headers["Connection"] = "close"
        await send({"type": "http.response.start", "status": response.status_code, "headers": response.raw_headers})
        await send({"type": "http.response.body", "body": response.body, "more_body": True})
        if "expect" not in Headers(scope=scope):  # a client with this header has not sent the body yet
            with suppress(TimeoutError):
                async with asyncio.timeout(_LINGER_SECONDS):
                    while (await receive()).get("more_body", False):
                        pass
        await send({"type": "http.response.body", "body": b""})


class _Counted:
    """Receives a request's body and counts its bytes; `refusal` is the status if the body is refused."""

    def __init__(self, receive: Receive, limit: int) -> None:
        self.refusal: int | None = None
        self._receive, self._limit = receive, limit
        self._bytes, self._began, self._is_whole = 0, monotonic(), False

    async def __call__(self) -> Message:
        if self._is_whole:  # the next message is the disconnection, which has no time limit
            return await self._receive()
        deadline = self._began + _SECONDS + self._bytes / _BYTES_A_SECOND
        try:
            async with asyncio.timeout(deadline - monotonic()):
                message = await self._receive()
        except TimeoutError:
            self.refusal = 408
            raise _RefusedError from None
        self._bytes += len(message.get("body", b""))
        self._is_whole = not message.get("more_body", False)
        if self._bytes > self._limit:
            self.refusal = 413
            raise _RefusedError
        return message
