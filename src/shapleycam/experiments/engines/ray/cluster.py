"""A Ray cluster: joined, or started for the time of the work."""

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

_PATIENCE = 20.0
"""Seconds until a cluster that does not answer is given up."""

_PROBE = "import sys, ray; ray.init(address=sys.argv[1], log_to_driver=False, logging_level='ERROR'); ray.shutdown()"


def library() -> Any:
    """The ray package.

    Raises:
        OptionError: it is not installed.
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
def cluster(address: str | None) -> Iterator[Any]:
    """Ray, connected; the caller's own connection if there is one, and otherwise one that ends here."""
    ray = library()
    quiet(ray)
    if ray.is_initialized():
        yield ray
        return
    _connect(ray, address)
    try:
        yield ray
    finally:
        ray.shutdown()


def quiet(ray: Any) -> None:
    """Leave it to us to say how far the work is."""
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = context.print_on_execution_start = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)


def _connect(ray: Any, address: str | None) -> None:
    where = os.environ.get("RAY_ADDRESS", "local") if address is None else address
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent to anybody
    how: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if where == "local":
        how["include_dashboard"] = False
    else:
        _check_answers(where)
        _check_is_ray(where)
    try:
        ray.init(address=where, **how)
    except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        raise _unreachable(where, root_of(error)) from error


def _check_is_ray(address: str) -> None:
    """Join the cluster by another process first: where Ray gets no answer, it ends the process that it is in."""
    try:
        probe = subprocess.run(  # noqa: S603
            [sys.executable, "-c", _PROBE, address], capture_output=True, text=True, timeout=_PATIENCE, check=False
        )
    except subprocess.TimeoutExpired:
        raise _unreachable(address, f"no answer in {_PATIENCE:.0f} seconds") from None
    if probe.returncode:
        raise _unreachable(address, _reason(probe.stderr) or f"exit code {probe.returncode}")


def _check_answers(address: str) -> None:
    """Refuse an address where nothing listens, before Ray waits for it."""
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if not host or not port.isdecimal():
        return
    try:
        socket.create_connection((host, int(port)), timeout=_PATIENCE / 5).close()
    except OSError as error:
        raise _unreachable(address, error.strerror or str(error)) from None


def beside_this_process(ray: Any, kind: type, *given: Any, **options: Any) -> Any:
    """An actor that takes no room, where no node that leaves takes it along if Ray can place it here."""
    here = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
        ray.get_runtime_context().get_node_id(), soft=True
    )
    how = {"num_cpus": 0, "scheduling_strategy": here, **options}
    return ray.remote(kind).options(**how).remote(*given)


def failed(reason: str) -> OptionError:
    """What to say where the work ends for a reason that is not its own."""
    return OptionError(
        f"the Ray cluster could not do the work ({' '.join(reason.split())}); see that all nodes have the same "
        "packages, models and photographs, and start again: what was done is kept"
    )


def root_of(error: BaseException) -> str:
    """What it began with, on one line: why, where Ray says at length that it failed."""
    while error.__cause__ is not None and str(error.__cause__).strip():
        error = error.__cause__
    return _reason(str(error)) or type(error).__name__


def _reason(text: str) -> str | None:
    """The line of a traceback that says what happened, or the last line."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    reasons = [line for line in lines if re.match(r"[\w.]*(Error|Exception)\b.*: ", line)]
    return next(reversed(reasons or lines), None)


def _unreachable(address: str, reason: str) -> OptionError:
    return OptionError(
        f"no Ray cluster at {address} ({reason}); start one (ray start --head), give address="
        "HOST:PORT or ray://HOST:10001, or leave address= out for one of this machine's own"
    )
