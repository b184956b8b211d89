"""A small load, as bench/page_load.py has a large one: visitors one after another, and senders that never end."""

from __future__ import annotations

import asyncio
import io
import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from time import monotonic, sleep

import httpx
import numpy as np
import pytest
import uvicorn
from PIL import Image
from starlette.responses import PlainTextResponse

from helpers.web_library import COLOURS
from shapleycam.web import body_limit, connections
from shapleycam.web import server as server_module
from shapleycam.web.body_limit import BodyLimit
from shapleycam.web.connections import TimedProtocol

WARM_UP, VISITORS = 24, 20
"""After the warm-up the caches of a bounded number of entries are full."""
MEGABYTES_A_VISITOR = 2.0
"""What stays, the file and the pictures, has some 60 kB; what must not stay, the decoded pixels and maps, 3 MB. Between
them is what the allocator still takes while its pools settle, 1 MB a visitor at first."""


def photograph(number: int) -> bytes:
    """Return a photograph of 1000 x 800 pixels as a file of 40 kB that no other visitor has."""
    small = np.random.default_rng(number).integers(0, 256, (8, 10, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(small).resize((1000, 800)).save(file, "JPEG", quality=80)
    return file.getvalue()


def visit(client: httpx.Client, number: int) -> None:
    """Send a photograph, and look at its answer with a picture."""
    form = {"view": "explain", "model": COLOURS}
    sent = client.post("/photographs", data=form, files={"file": ("a.jpg", photograph(number), "image/jpeg")})
    query = sent.headers["Location"].partition("?")[2]
    assert 'data-state="done"' in client.get(f"/answer/explain?{query}").text
    assert client.get(f"/picture?kind=heatmap&{query}").status_code == 200


@pytest.mark.slow
def test_what_stays_of_a_visitor_is_small(plain_server):
    with httpx.Client(base_url=plain_server.address, timeout=60) as client:
        for number in range(WARM_UP):
            visit(client, number)
        before = plain_server.memory()
        for number in range(WARM_UP, WARM_UP + VISITORS):
            visit(client, number)
    grown = (plain_server.memory() - before) / 2**20
    assert grown < MEGABYTES_A_VISITOR * VISITORS, f"{grown:.1f} MB"


def test_responses_are_sent_at_once():
    """Nagle's algorithm, 40 ms for each response on a connection that is kept, is off."""

    async def option() -> int:
        answers = asyncio.get_running_loop().create_future()

        class Watched(asyncio.Protocol):
            def connection_made(self, transport):
                accepted = transport.get_extra_info("socket")
                answers.set_result(accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
                transport.close()

        bound = server_module._listen("127.0.0.1", None)
        server = await asyncio.get_running_loop().create_server(Watched, sock=bound)
        async with server:
            _, writer = await asyncio.open_connection(*bound.getsockname())
            writer.close()
            return await asyncio.wait_for(answers, 10)

    assert asyncio.run(option()) != 0


@pytest.fixture
def impatient_server(monkeypatch) -> Iterator[int]:
    """The port of a server with the page's guards against slow senders, of 0.3 seconds instead of 20."""
    monkeypatch.setattr(body_limit, "_SECONDS", 0.3)
    monkeypatch.setattr(body_limit, "_LINGER_SECONDS", 0.1)
    monkeypatch.setattr(connections, "_SECONDS", 0.3)

    async def read(scope, receive, send):
        while (await receive())["more_body"]:
            pass
        await PlainTextResponse("all of it")(scope, receive, send)

    app = BodyLimit(read, {"/form": 10**6}, lambda path, status: PlainTextResponse(f"{path} {status}", status))
    config = uvicorn.Config(app, http=TimedProtocol, ws="none", lifespan="off", log_level="error")
    server = uvicorn.Server(config)
    bound = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve([bound])))
    thread.start()
    while not server.started:
        sleep(0.01)
    yield bound.getsockname()[1]
    server.should_exit = True
    thread.join()


def seconds_to_the_end(port: int, *parts: bytes) -> tuple[float, bytes]:
    """Send the parts, a tenth of a second between them; return how long the connection lasted, and what came back."""
    answer = b""
    with closing(socket.create_connection(("127.0.0.1", port), timeout=10)) as connection:
        began = monotonic()
        for part in parts:
            try:
                connection.sendall(part)
            except OSError:  # it was closed
                break
            sleep(0.1)
        try:
            while received := connection.recv(1000):
                answer += received
        except ConnectionResetError:
            pass
        return monotonic() - began, answer


HEAD = b"POST /form HTTP/1.1\r\nHost: localhost\r\nContent-Length: 20\r\n\r\n"


def test_a_body_that_comes_byte_by_byte_is_refused(impatient_server):
    seconds, answer = seconds_to_the_end(impatient_server, HEAD, *[b"x"] * 10)
    assert b" 408 " in answer.partition(b"\r\n")[0]
    assert seconds < 5


def test_a_head_that_comes_byte_by_byte_ends_with_its_connection(impatient_server):
    """It is given twice the time at most, and no answer."""
    seconds, answer = seconds_to_the_end(impatient_server, *[bytes([byte]) for byte in HEAD[:15]])
    assert answer == b""
    assert 0.3 < seconds < 5


def test_who_sends_at_once_is_answered(impatient_server):
    _, answer = seconds_to_the_end(impatient_server, HEAD + b"x" * 20)
    assert b"all of it" in answer
