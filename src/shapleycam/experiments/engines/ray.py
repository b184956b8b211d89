"""Work on a Ray cluster, by Ray Data: a pool of actors that hold the model. This is the only file that knows Ray."""

from __future__ import annotations

import logging
import os
import pickle
import socket
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import pyarrow as pa
import torch

from shapleycam.errors import ClusterWarning, OptionError, ShapleyCamError, ShapleyCamWarning, warn

_PATIENCE = 10.0
"""Seconds until an address that does not answer is given up."""
_TRIES = 10
"""How often an item may end its worker."""
Item = TypeVar("Item")
Prepared = TypeVar("Prepared")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Ray:
    """A cluster at `address`: "auto" for the one that this machine is in, HOST:PORT, or ray://HOST:PORT; None for one
    of this machine's own, which ends with the work.

    `actors` hold the model, each with so many `cpus` and `gpus`. By default there are as many as fit, each with one GPU
    where the cluster has some, and otherwise with all processors of a node.
    """

    address: str | None = None
    actors: int | None = None
    cpus: int | None = None
    gpus: float | None = None

    def __post_init__(self) -> None:
        """Refuse a missing extra, and numbers that mean nothing."""
        _library()
        for name, least in (("actors", 1), ("cpus", 1), ("gpus", 0)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise OptionError(f"{name} of the Ray cluster is {value}; expected {least} or more")

    def run(
        self,
        items: Sequence[Item],
        prepare: Callable[[Item], Prepared],
        perform: Callable[[Prepared], Iterable[Result]],
    ) -> Iterator[Result]:
        """As `Engine.run`; an item whose worker dies is tried again by another."""
        if not items:
            return
        with _cluster(self.address) as ray:
            pool = self._pool(ray)
            tries = ray.remote(_Tries).options(num_cpus=0, max_restarts=-1, max_task_retries=-1).remote()
            rows = [{"index": index, "content": pickle.dumps(item)} for index, item in enumerate(items)]
            data = ray.data.from_items(rows, override_num_blocks=len(rows))
            steps: tuple[Callable[[Any], Any], ...] = (prepare, perform)
            if pool.ahead:
                data = data.map_batches(_prepared, fn_args=(prepare,), batch_size=1, batch_format="pyarrow", num_cpus=1)
                steps = (perform,)
            data = data.map_batches(
                _Actor,
                fn_constructor_args=(steps, tries, pool.cpus),
                compute=ray.data.ActorPoolStrategy(min_size=1, max_size=pool.actors),
                batch_size=1,
                batch_format="pyarrow",
                num_cpus=pool.cpus,
                num_gpus=pool.gpus,
            )
            yield from _results(ray, data)

    def facts(self) -> dict[str, Any]:
        """As `Engine.facts`."""
        return {"engine": "ray", "actors": self.actors, "cpus": self.cpus, "gpus": self.gpus}

    def _pool(self, ray: Any) -> _Pool:
        """What an actor gets, and how many there are."""
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        processors = [int(node["CPU"]) for node in nodes if node.get("CPU", 0) >= 1]
        gpus = self.gpus if self.gpus is not None else float(any(node.get("GPU") for node in nodes))
        cpus = self.cpus or (1 if gpus else min(processors, default=1))
        fits = sum(_room(node, cpus, gpus) for node in nodes)
        wanted = f"{cpus} CPUs and {gpus:g} GPUs" if gpus else f"{cpus} CPUs"
        found = "; ".join(f"{node.get('CPU', 0):g} CPUs, {node.get('GPU', 0):g} GPUs" for node in nodes)
        if not fits and self.actors is None:
            raise OptionError(
                f"no node of the Ray cluster has room for an actor of {wanted} (its nodes: {found}); ask for less, or "
                "give --actors if the cluster grows when it is asked to"
            )
        actors = self.actors or fits
        if fits < actors:
            warn(
                ClusterWarning,
                f"the Ray cluster has room for {fits} of {actors} actors of {wanted} each (its nodes: {found}); it "
                "goes on with these, and with more if the cluster grows",
            )
        left = sum(processors) - min(actors, fits) * cpus
        return _Pool(actors, cpus, gpus, ahead=gpus > 0 and left >= 1)


@dataclass(frozen=True)
class _Pool:
    """Actors at most, and what each gets; `ahead`: photographs are prepared by tasks of their own.

    They are where the model is on a GPU. Where it is on processors, those tasks would only take them from it.
    """

    actors: int
    cpus: int
    gpus: float
    ahead: bool


class _Tries:
    """Counts how often each item was begun, where the death of its worker does not reach."""

    def __init__(self) -> None:
        self.counts: dict[int, int] = {}

    def begun(self, index: int) -> int:
        """So often, this time included."""
        self.counts[index] = self.counts.get(index, 0) + 1
        return self.counts[index]


class _Actor:
    """What holds the model."""

    def __init__(self, steps: Sequence[Callable[[Any], Any]], tries: Any, threads: int) -> None:
        torch.set_num_threads(threads)
        self._steps, self._tries = steps, tries

    def __call__(self, batch: pa.Table) -> Iterator[pa.Table]:
        index, content = batch["index"][0].as_py(), batch["content"][0].as_py()
        if _library().get(self._tries.begun.remote(index)) > _TRIES:
            error = OptionError(
                f"a part of the work ended its worker {_TRIES} times (out of memory, most likely); use a smaller "
                "--batch-size, or fewer actors a node"
            )
            yield _row(index, error, [])
            return
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always", ShapleyCamWarning)
            try:
                found: Any = pickle.loads(content)  # noqa: S301  what this engine has pickled itself
                if isinstance(found, ShapleyCamError):
                    raise found
                for step in self._steps:
                    found = step(found)
                for result in found:
                    yield _row(index, result, told)
                    told.clear()
            except ShapleyCamError as error:
                yield _row(index, error, told)


def _prepared(batch: pa.Table, prepare: Callable[[Any], Any]) -> pa.Table:
    """The first step, by a task."""
    found: Any = pickle.loads(batch["content"][0].as_py())  # noqa: S301
    try:
        found = prepare(found)
    except ShapleyCamError as error:
        found = error
    return pa.table({"index": batch["index"], "content": pa.array([pickle.dumps(found)], pa.large_binary())})


def _row(index: int, result: Any, told: Sequence[warnings.WarningMessage]) -> pa.Table:
    """A result, or an error in its place, with what was warned of meanwhile."""
    texts = [(each.category, str(each.message)) for each in told if issubclass(each.category, ShapleyCamWarning)]
    return pa.table({"index": [index], "content": pa.array([pickle.dumps((result, texts))], pa.large_binary())})


def _results(ray: Any, data: Any) -> Iterator[Any]:
    """What the actors send; their warnings are given again, their errors raised."""
    try:
        for batch in data.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
            for content in batch["content"]:
                result, told = pickle.loads(content.as_py())  # noqa: S301
                for category, text in told:
                    warn(category, text)
                if isinstance(result, ShapleyCamError):
                    raise result
                yield result
    except ray.exceptions.RayError as error:
        reason = str(error).strip().splitlines()[-1]
        raise OptionError(
            f"the Ray cluster could not do the work ({reason}); see that all nodes have the same packages, models and "
            "photographs, and start again: what was done is kept"
        ) from error


def _room(node: dict[str, float], cpus: int, gpus: float) -> int:
    """How many actors fit on a node."""
    room = int(node.get("CPU", 0) // cpus)
    return min(room, int(node.get("GPU", 0) // gpus)) if gpus else room


def _library() -> Any:
    """The ray package.

    Raises:
        OptionError: it is not installed.
    """
    try:
        import ray
        import ray.data
    except ImportError:
        raise OptionError("the engine 'ray' needs ray, which is not installed; pip install 'shapleycam[ray]'") from None
    return ray


@contextmanager
def _cluster(address: str | None) -> Iterator[Any]:
    """Ray, connected; the caller's own connection if there is one, and otherwise one that ends here."""
    ray = _library()
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = context.print_on_execution_start = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    if ray.is_initialized():
        yield ray
        return
    _connect(ray, address)
    try:
        yield ray
    finally:
        ray.shutdown()


def _connect(ray: Any, address: str | None) -> None:
    where = os.environ.get("RAY_ADDRESS") if address is None else address
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent to anybody
    _check_answers(where)
    own = {} if where else {"include_dashboard": False}
    try:
        ray.init(address=where, log_to_driver=False, logging_level=logging.ERROR, **own)
    except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        raise _unreachable(where, " ".join(str(error).split())) from error


def _check_answers(address: str | None) -> None:
    """Refuse an address where nothing listens, before Ray waits for it."""
    host, _, port = (address or "").rpartition("://")[2].rpartition(":")
    if not host or not port.isdecimal():
        return
    try:
        socket.create_connection((host, int(port)), timeout=_PATIENCE).close()
    except OSError as error:
        raise _unreachable(address, error.strerror or str(error)) from None


def _unreachable(address: str | None, reason: str) -> OptionError:
    return OptionError(
        f"no Ray cluster at {address or 'this machine'} ({reason}); start one (ray start --head), give --address "
        "HOST:PORT or ray://HOST:10001, or leave --address out for one of this machine's own"
    )
