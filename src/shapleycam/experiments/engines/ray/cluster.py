"""A Ray cluster: joined, or started for the time of the work."""

from __future__ import annotations

import logging
import os
import re
import socket
from collections.abc import Callable, Iterator
from concurrent import futures
from contextlib import contextmanager
from functools import partial
from threading import Thread
from typing import Any

from shapleycam.errors import OptionError

_PATIENCE = 20.0
"""Seconds until a cluster that does not answer is given up."""


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
    where = os.environ.get("RAY_ADDRESS") if address is None else address
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent to anybody
    _check_answers(where)
    own = {} if where else {"include_dashboard": False}
    how = {"address": where, "log_to_driver": False, "logging_level": logging.ERROR, **own}
    begun: futures.Future[object] = futures.Future()
    Thread(target=_begin, args=(partial(ray.init, **how), begun), daemon=True).start()  # it may go on trying
    try:
        begun.result(_PATIENCE)
    except futures.TimeoutError:
        raise _unreachable(where, f"no answer in {_PATIENCE:.0f} seconds") from None
    except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        raise _unreachable(where, root_of(error)) from error


def _begin(start: Callable[[], object], begun: futures.Future[object]) -> None:
    try:
        begun.set_result(start())
    except BaseException as error:  # noqa: BLE001  raised where it is waited for
        begun.set_exception(error)


def _check_answers(address: str | None) -> None:
    """Refuse an address where nothing listens, before Ray waits for it."""
    host, _, port = (address or "").rpartition("://")[2].rpartition(":")
    if not host or not port.isdecimal():
        return
    try:
        socket.create_connection((host, int(port)), timeout=_PATIENCE / 5).close()
    except OSError as error:
        raise _unreachable(address, error.strerror or str(error)) from None


def beside_this_process(ray: Any, kind: type, *given: Any) -> Any:
    """An actor that takes no room, where no node that leaves takes it along."""
    here = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
        ray.get_runtime_context().get_node_id(), soft=True
    )
    how = {"num_cpus": 0, "scheduling_strategy": here}
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
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    reasons = [line for line in lines if re.match(r"[\w.]*(Error|Exception)\b.*: ", line)]
    return (reasons or lines or [type(error).__name__])[-1]


def _unreachable(address: str | None, reason: str) -> OptionError:
    return OptionError(
        f"no Ray cluster at {address or 'this machine'} ({reason}); start one (ray start --head), give --address "
        "HOST:PORT or ray://HOST:10001, or leave --address out for one of this machine's own"
    )
