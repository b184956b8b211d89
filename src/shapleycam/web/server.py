"""The server of the page: nothing from elsewhere, nothing to elsewhere, nothing kept."""

from __future__ import annotations

import socket
import warnings
import webbrowser
from collections.abc import Callable

from shapleycam.errors import OptionError, ShapleyCamWarning
from shapleycam.web.site import Site

try:
    import uvicorn

    from shapleycam.web.app import build_app
except ImportError:
    raise OptionError(
        "the page needs starlette, uvicorn and python-multipart, which are not installed; pip install 'shapleycam[web]'"
    ) from None

_FIRST_PORT, _PORTS = 7860, 100


def serve(site: Site, host: str, port: int | None, *, browser: bool, listener: Callable[[str], None]) -> None:
    """Serve the page until it is stopped; `listener` gets its address.

    Raises:
        OptionError: the port is taken, or the host is not one of this machine.
    """
    warnings.simplefilter("ignore", ShapleyCamWarning)  # the page says these things itself
    bound = _bind(host, port)
    address = f"http://{f'[{host}]' if ':' in host else host}:{bound.getsockname()[1]}"
    config = uvicorn.Config(build_app(site), log_level="warning", timeout_graceful_shutdown=3, server_header=False)
    listener(address)
    if browser:
        webbrowser.open(address)
    uvicorn.Server(config).run([bound])


def _bind(host: str, port: int | None) -> socket.socket:
    """Return a socket that listens at a port; without one, at the first free port."""
    ports = range(_FIRST_PORT, _FIRST_PORT + _PORTS) if port is None else [port]
    error = OSError("no free port")
    for number in ports:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        bound = socket.socket(family, socket.SOCK_STREAM)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound.bind((host, number))
        except OSError as failure:
            bound.close()
            error = failure
        else:
            return bound
    reason = " ".join(str(error).split())
    raise OptionError(f"no server at {host} ({reason}); choose another --port or --host")
