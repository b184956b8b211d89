"""Bodies that are too large or too slow, as the server hands them on: refused while they arrive."""

from __future__ import annotations

import asyncio

import pytest
from starlette.responses import PlainTextResponse

from shapleycam.web import body_limit
from shapleycam.web.body_limit import BodyLimit

LIMIT = 1000


class Connection:
    """What a server hands to an application, and what it gets."""

    def __init__(self, chunks, *, seconds=0.0, content_length=None, path="/form", headers=()):
        self.left, self.seconds = list(chunks), seconds
        self.sent, self.read = [], 0
        lengths = [] if content_length is None else [(b"content-length", str(content_length).encode())]
        self.scope = {"type": "http", "method": "POST", "path": path, "headers": [*lengths, *headers]}

    async def receive(self):
        await asyncio.sleep(self.seconds)
        if not self.left:
            return {"type": "http.disconnect"}
        body = self.left.pop(0)
        self.read += len(body)
        return {"type": "http.request", "body": body, "more_body": bool(self.left)}

    async def send(self, message):
        self.sent.append(message)

    @property
    def status(self):
        return self.sent[0]["status"]

    @property
    def body(self):
        return b"".join(message.get("body", b"") for message in self.sent)


async def reader(scope, receive, send):
    """An application that reads a form, and hides what goes wrong."""
    body = b""
    try:
        while True:
            message = await receive()
            body += message["body"]
            if not message["more_body"]:
                break
    except Exception:  # noqa: BLE001 - as frameworks do
        await PlainTextResponse("a fault", 500)(scope, receive, send)
        return
    await PlainTextResponse(f"{len(body)} bytes")(scope, receive, send)


def run(connection):
    limit = BodyLimit(
        reader, {"/form": LIMIT}, lambda request, status: PlainTextResponse(f"{request.url.path} {status}", status)
    )
    asyncio.run(asyncio.wait_for(limit(connection.scope, connection.receive, connection.send), 10))
    return connection


def test_what_fits_is_read():
    for chunks in ([b"x" * LIMIT], [b"x"] * LIMIT, [b""]):
        connection = run(Connection(chunks))
        assert (connection.status, connection.body) == (200, f"{sum(map(len, chunks))} bytes".encode())


def test_a_length_that_is_declared_is_refused_before_the_body_is_read():
    connection = Connection([b"x"] * 5, content_length=LIMIT + 1, headers=[(b"expect", b"100-continue")])
    run(connection)
    assert (connection.status, connection.body, connection.read) == (413, b"/form 413", 0)


def test_bytes_are_counted_while_they_arrive():
    """The refusal is sent when they are too many; what comes after it is thrown away."""
    connection = run(Connection([b"x" * 400] * 10))
    assert (connection.status, connection.body) == (413, b"/form 413")
    assert connection.sent[-1] == {"type": "http.response.body", "body": b""}
    assert dict(connection.sent[0]["headers"])[b"connection"] == b"close"


def test_a_length_that_lies_helps_nobody():
    assert run(Connection([b"x" * 400] * 10, content_length=10)).status == 413


def test_where_no_body_is_expected_hardly_any_is_taken():
    assert run(Connection([b"x" * 1001], path="/explain")).status == 413
    assert run(Connection([b"x" * 1000], path="/explain")).status == 200


def test_a_client_that_never_stops_is_left(monkeypatch):
    monkeypatch.setattr(body_limit, "_LINGER_SECONDS", 0.05)
    connection = run(Connection([b"x" * 400] * 10**6, seconds=0.001))
    assert connection.status == 413
    assert connection.read < 400 * 1000


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(body_limit, "_SECONDS", 0.1)
    monkeypatch.setattr(body_limit, "_LINGER_SECONDS", 0.01)


@pytest.mark.usefixtures("quick")
class TestSlow:
    def test_one_that_never_comes(self):
        assert run(Connection([b"x"], seconds=5)).status == 408

    def test_byte_by_byte(self, monkeypatch):
        monkeypatch.setattr(body_limit, "_BYTES_A_SECOND", 1000)
        assert run(Connection([b"x"] * 500, seconds=0.01)).status == 408

    def test_a_slow_line_that_is_fast_enough(self, monkeypatch):
        """Half a second in all, five times what a body without bytes has."""
        monkeypatch.setattr(body_limit, "_BYTES_A_SECOND", 1000)
        connection = run(Connection([b"x" * 20] * 50, seconds=0.01))
        assert (connection.status, connection.body) == (200, b"1000 bytes")
