"""The server of the page: it loads nothing from other sites, sends nothing to them, and writes nothing to the disk."""

from __future__ import annotations

import errno
import logging
import os
import signal
import socket
import sys
import warnings
import webbrowser
from collections.abc import Callable
from typing import Any

import torch

from shapleycam.allocator import return_large_blocks
from shapleycam.errors import OptionError, ShapleyCamWarning
from shapleycam.web.access import Access
from shapleycam.web.site import Site
from shapleycam.wording import first_line

try:
    import python_multipart  # noqa: F401 - starlette imports it when the first form arrives
    import uvicorn

    from shapleycam.web.application import Application, build_application
    from shapleycam.web.connections import TimedProtocol
except ModuleNotFoundError:
    raise OptionError(
        "the page needs starlette, uvicorn and python-multipart, which are not installed; pip install 'shapleycam[web]'"
    ) from None

_FIRST_PORT, _PORTS = 7860, 100
_BACKLOG, _CONNECTIONS = 512, 800
_HEADER_BYTES = 32_768
"""Maximum bytes of the address and headers together."""
_SECONDS_TO_END = 1
"""Time limit for closing connections, and again for the work, which ends at its next batch."""
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # nosec B104  # where a browser is to go


def serve(site: Site, access: Access, *, browser: bool, listener: Callable[[str], None]) -> None:
    """Serve the page until it is stopped; `listener` is called with the page's address.

    Raises:
        OptionError: the port is taken, or the host is not an address of this machine.

    Examples:
        >>> from shapleycam.web import Access, Site, serve
        >>> serve(Site(), Access(port=7860), browser=True, listener=print)  # doctest: +SKIP
        http://127.0.0.1:7860
    """
    warnings.simplefilter("ignore", ShapleyCamWarning)  # the page shows them itself
    return_large_blocks()
    # Jobs share the cores: if each used all of them, PyTorch's threads would wait for each other in busy loops.
    torch.set_num_threads(max(1, torch.get_num_threads() // site.threads))
    bound = _listen(access.host, access.port)
    application, port = build_application(site, access), bound.getsockname()[1]
    config = uvicorn.Config(
        application.app,
        http=TimedProtocol,
        ws="none",
        loop="asyncio",
        lifespan="on",
        log_level="error",
        server_header=False,
        proxy_headers=bool(access.trusted_proxies),
        forwarded_allow_ips=list(access.trusted_proxies),
        limit_concurrency=_CONNECTIONS,
        h11_max_incomplete_event_size=_HEADER_BYTES,
        timeout_graceful_shutdown=_SECONDS_TO_END,
    )
    listener(_address(access.host, port))
    if browser:
        webbrowser.open(_address(_EVERYWHERE.get(access.host, access.host), port))
    exit_code = 0
    try:
        _Server(config, application).run([bound])
    except KeyboardInterrupt:
        exit_code = 128 + signal.SIGINT
        raise
    finally:
        if not application.page.jobs.close(_SECONDS_TO_END):
            _end_at_once(exit_code)


class _Server(uvicorn.Server):
    """A server that stops its jobs before its connections, which then need not wait for answers that nobody reads."""

    def __init__(self, config: uvicorn.Config, application: Application) -> None:
        super().__init__(config)
        self._application = application

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop the jobs, then the connections; interrupted requests are not logged as errors."""
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        self._application.page.jobs.stop()
        await super().shutdown(sockets)


def _end_at_once(exit_code: int) -> None:
    """Exit while a thread computes: a normal exit of Python would interrupt PyTorch's code, which can crash."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(exit_code)


def _listen(host: str, port: int | None) -> socket.socket:
    """Return a socket that listens at a port; without one, at the first free port."""
    try:
        family, *_, place = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        for number in range(_FIRST_PORT, _FIRST_PORT + _PORTS) if port is None else [port]:
            try:
                return _bind(family, (place[0], number, *place[2:]))
            except OSError as error:
                if port is not None or error.errno != errno.EADDRINUSE:
                    raise
    except OSError as error:
        raise OptionError(f"no server at {host} ({first_line(error)}); choose another --port or --host") from None
    last = _FIRST_PORT + _PORTS - 1
    raise OptionError(f"no server at {host} (ports {_FIRST_PORT} to {last} are taken); choose another --port")


def _bind(family: int, place: tuple[Any, ...]) -> socket.socket:
    # asyncio sends at once only if TCP is named; otherwise a response in two parts waits 40 ms for the visitor's packet
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if sys.platform != "win32":  # on Windows, this option would let two servers share a port
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(place)
        bound.listen(_BACKLOG)
    except OSError:
        bound.close()
        raise
    return bound


def _address(host: str, port: int) -> str:
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"
