"""`connected`: connects to a Ray cluster, or starts a temporary one on this machine."""

from __future__ import annotations

import logging
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from shapleycam.errors import OptionError

_CONNECT_SECONDS = 60.0
"""Seconds to wait for an answer from a cluster."""

_PROBE = "import sys, ray; ray.init(address=sys.argv[1], log_to_driver=False, logging_level='ERROR'); ray.shutdown()"


def import_ray() -> Any:
    """Return the ray package, after importing its modules that this engine uses.

    Raises:
        OptionError: ray is not installed.
    """
    try:
        import ray
        import ray.data
        import ray.util.client
        import ray.util.scheduling_strategies
    except ImportError:
        raise OptionError("the engine 'ray' needs ray, which is not installed; pip install 'shapleycam[ray]'") from None
    return ray


@contextmanager
def connected(address: str | None) -> Iterator[Any]:
    """Yield the ray package, connected to a cluster; close the connection at the end if it was opened here.

    Args:
        address: as `Ray.address`; ignored if Ray is connected already.

    Raises:
        OptionError: ray is not installed, or there is no cluster at the address.
    """
    ray = import_ray()
    silence(ray)
    if ray.is_initialized():
        yield ray
        return
    _connect(ray, address)
    try:
        yield ray
    finally:
        ray.shutdown()


def silence(ray: Any) -> None:
    """Turn off Ray Data's progress bars and log, because a listener reports the progress."""
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = context.print_on_execution_start = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)


def _connect(ray: Any, address: str | None) -> None:
    target = os.environ.get("RAY_ADDRESS", "local") if address is None else address
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # otherwise Ray sends usage statistics over the network
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if target == "local":
        options["include_dashboard"] = False
    else:
        _check_listening(target)
        _check_is_ray(target)
    try:
        ray.init(address=target, **options)
    except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        raise _unreachable(target, root_cause(error)) from error


def _check_is_ray(address: str) -> None:
    """Join the cluster in another process first, because Ray ends the process that it runs in if it gets no answer.

    See docs/decisions.md, "A cluster is joined by another process first".
    """
    try:
        probe = subprocess.run(  # noqa: S603  # nosec B603  # this Python, a fixed text
            [sys.executable, "-c", _PROBE, address],
            capture_output=True,
            text=True,
            timeout=_CONNECT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise _unreachable(address, f"no answer in {_CONNECT_SECONDS:.0f} seconds") from None
    if probe.returncode:
        raise _unreachable(address, _reason_line(probe.stderr) or f"exit code {probe.returncode}")


def _check_listening(address: str) -> None:
    """Refuse an address where nothing listens at once, because Ray would wait for it."""
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if not host or not port.isdecimal():
        return
    try:
        socket.create_connection((host, int(port)), timeout=_CONNECT_SECONDS / 15).close()
    except OSError as error:
        raise _unreachable(address, error.strerror or str(error)) from None


def start_actor_on_this_node(ray: Any, kind: type, *arguments: Any, **options: Any) -> Any:
    """Start an actor that needs no CPU, on the node of this process if possible, so that no other node can end it."""
    this_node = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
        ray.get_runtime_context().get_node_id(), soft=True
    )
    options = {"num_cpus": 0, "scheduling_strategy": this_node, **options}
    return ray.remote(kind).options(**options).remote(*arguments)


def cluster_error(reason: str) -> OptionError:
    """Return the error for work that the cluster, and not an error of this library, has ended."""
    return OptionError(
        f"the Ray cluster could not do the work ({' '.join(reason.split())}); see that all nodes have the same "
        "packages, models and photographs, and start again: what was done is kept"
    )


def root_cause(error: BaseException) -> str:
    """Return the first cause in a chain of errors as one line, because Ray's own messages are long."""
    while error.__cause__ is not None and str(error.__cause__).strip():
        error = error.__cause__
    return _reason_line(str(error)) or type(error).__name__


def _reason_line(text: str) -> str | None:
    """Return the last line of a text that names an error, or else its last line; None for an empty text."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    reasons = [line for line in lines if re.match(r"[\w.]*(Error|Exception)\b.*: ", line)]
    return next(reversed(reasons or lines), None)


def _unreachable(address: str, reason: str) -> OptionError:
    return OptionError(
        f"no Ray cluster at {address} ({reason}); start one (ray start --head), give address="
        "HOST:PORT or ray://HOST:10001, or leave address= out for one of this machine's own"
    )
