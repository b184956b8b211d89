"""The server ends when it is told to: quietly, and at once also where it is at work."""

from __future__ import annotations

import signal
import sys

import httpx
import pytest

from helpers.web_server import WebServer

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there a process cannot be sent Ctrl-C alone")
SECONDS = 20
"""Much less than the sampling takes, and more than any machine needs to end."""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_in_the_midst_of_a_sampling(number):
    """With whoever waits told, and an upload that is on its way cut off."""
    server = WebServer()
    with server as served, httpx.Client(base_url=served.address, timeout=60) as client:
        parameters = {"method": "sampledshapley", "layer": "blocks.5"}
        with client.stream("GET", "/answer/explain", params=parameters) as response:
            parts = response.iter_text()
            assert "Working" in next(parts)
            served.process.send_signal(number)
            rest = "".join(parts)
        assert "the server is stopping" in rest
        assert server.process.wait(SECONDS) == (130 if number == signal.SIGINT else -number)
        assert served.read_log().splitlines() == [f"shapleycam at {served.address} (Ctrl-C ends it)"]
        assert served.files() == []
