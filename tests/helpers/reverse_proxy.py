"""A small reverse proxy that puts a server under a path of its own, as nginx and Caddy do."""

from __future__ import annotations

import http.client
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar
from urllib.parse import urlsplit

HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "host"}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    upstream: ClassVar[str] = ""
    prefix: ClassVar[str] = ""
    forwarded: ClassVar[dict[str, str]] = {}

    def _forward(self) -> None:
        if not self.path.startswith(self.prefix):
            self.send_error(404)
            return
        connection = http.client.HTTPConnection(self.upstream, timeout=60)
        headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP_BY_HOP}
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers |= {"Host": self.headers["Host"], **self.forwarded}
        connection.request(self.command, "/" + self.path.removeprefix(self.prefix), body, headers)
        response = connection.getresponse()
        self.send_response_only(response.status)
        for name, value in response.getheaders():
            if name.lower() not in HOP_BY_HOP:
                self.send_header(name, value)
        self.send_header("Connection", "close")
        self.end_headers()
        while chunk := response.read1(65536):  # handed on at once
            self.wfile.write(chunk)
            self.wfile.flush()
        connection.close()
        self.close_connection = True

    do_GET = do_POST = _forward  # noqa: N815 - as the base class names them

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class ReverseProxy:
    """A proxy for the time of a `with` block; its value is the address of the page behind it."""

    def __init__(self, upstream: str, prefix: str = "/tools/page/", **forwarded: str) -> None:
        fields = {name.replace("_", "-"): value for name, value in forwarded.items()}
        settings = {"upstream": urlsplit(upstream).netloc, "prefix": prefix, "forwarded": fields}
        self._prefix, self._server = prefix, ThreadingHTTPServer(("127.0.0.1", 0), type("H", (_Handler,), settings))
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> str:
        self._thread.start()
        return f"http://127.0.0.1:{self._server.server_port}{self._prefix}"

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
