"""The work in the cluster: tasks prepare items, and actors, which hold the model, evaluate them."""

from __future__ import annotations

import os
import pickle
import warnings
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import torch

from shapleycam.errors import OptionError, ShapleyCamError, ShapleyCamWarning
from shapleycam.experiments.engines.ray.cluster import cluster_error, import_ray, silence, start_actor_on_this_node
from shapleycam.experiments.engines.ray.pool import Pool

_TRIES = 5
"""How often an item may end its worker, and how often the whole work may be restarted without progress."""


@dataclass(frozen=True)
class Work:
    """The items and the two steps for each, the pool of actors, and the folder from which relative paths start."""

    pool: Pool
    folder: str
    items: Sequence[Any]
    prepare: Callable[[Any], Any]
    perform: Callable[[Any], Any]


def stream_results(work: Work) -> Generator[bytes, None, None]:
    """Run the work with Ray Data, and yield the messages of the actors, each a pickled result with its warnings.

    If an actor dies, Ray Data itself tries its item again, except if the actor dies while it sends a result. Then the
    whole work ends, and this function restarts the remaining items; it does not yield a result twice
    (docs/decisions.md, "Ray Data tries a dead actor's task again").
    """
    ray = import_ray()
    lost_actor = ray.exceptions.RayActorError, ray.exceptions.ObjectLostError, ray.exceptions.NodeDiedError
    remaining = {index: pickle.dumps(item) for index, item in enumerate(work.items)}
    received = dict.fromkeys(remaining, 0)
    # If Ray placed the counter on another node and that node leaves, it is restarted elsewhere and counts from 0.
    tries = start_actor_on_this_node(ray, _make_counter_class(), max_restarts=-1, max_task_retries=-1)
    restarts = 0
    while remaining:
        try:
            with closing(_stream_rows(work, remaining, tries)) as rows:
                for index, number, message in rows:
                    if message is None:  # the item is done
                        del remaining[index]
                        restarts = 0
                    elif number == received[index]:  # a smaller number was received before a restart
                        received[index] += 1
                        yield message
        except lost_actor:
            restarts += 1
            if restarts == _TRIES:
                raise


def _stream_rows(
    work: Work, items: Mapping[int, bytes], tries: Any
) -> Generator[tuple[int, int, bytes | None], None, None]:
    """Yield the rows (index, number, message) that Ray Data computes from the items; see `_row`."""
    ray, pool = import_ray(), work.pool
    rows = [{"index": index, "content": content} for index, content in items.items()]
    data = ray.data.from_items(rows, override_num_blocks=len(rows))
    steps: tuple[Callable[[Any], Any], ...] = (work.prepare, work.perform)
    if pool.ahead:
        arguments = (work.prepare, work.folder)
        data = data.map_batches(_prepare_row, fn_args=arguments, batch_size=1, batch_format="pyarrow", num_cpus=1)
        steps = (work.perform,)
    data = data.map_batches(
        _Actor,
        fn_constructor_args=(steps, tries, _TRIES, pool.cpus, work.folder),
        compute=ray.data.ActorPoolStrategy(
            min_size=1,  # idle actors may end, which makes room for an actor whose node has left
            initial_size=max(1, min(pool.room, pool.actors, len(items))),
            max_size=pool.actors,
            max_tasks_in_flight_per_actor=2 if pool.ahead else 1,  # the next item is sent while a GPU works
        ),
        batch_size=1,
        batch_format="pyarrow",
        num_cpus=pool.cpus,
        num_gpus=pool.gpus,
    )
    for batch in data.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
        yield from zip(*(batch[name].to_pylist() for name in ("index", "nth", "content")), strict=True)


class Driver:
    """Runs Ray Data in the cluster for callers that use the Ray Client (ray://), which does not support Ray Data."""

    def __init__(self, work: Work) -> None:
        silence(import_ray())
        self._messages = stream_results(work)

    def next_message(self) -> bytes | None:
        """Return the next message of an actor; None at the end."""
        return next(self._messages, None)


def _make_counter_class() -> type:
    """Return the class of an actor that counts how often each item was started.

    The actor has its own process, which survives the death of a worker. The class is local, because Ray sends the code
    of a local class; for a class in a module, the process would import torch and this whole package.
    """

    class TryCounter:
        def __init__(self) -> None:
            self.counts: dict[int, int] = {}

        def count(self, index: int) -> int:
            """Return how often an item was started, including this time."""
            self.counts[index] = self.counts.get(index, 0) + 1
            return self.counts[index]

    return TryCounter


class _Actor:
    """A worker process, which holds the model between items."""

    def __init__(
        self, steps: Sequence[Callable[[Any], Any]], tries: Any, most_tries: int, threads: int, folder: str
    ) -> None:
        torch.set_num_threads(threads)
        _change_folder(folder)
        self._steps, self._tries, self._most_tries = steps, tries, most_tries

    def __call__(self, batch: pa.Table) -> Iterator[pa.Table]:
        index, content = batch["index"][0].as_py(), batch["content"][0].as_py()
        if import_ray().get(self._tries.count.remote(index)) > self._most_tries:
            error = OptionError(
                f"a part of the work ended its worker {self._most_tries} times (out of memory, most likely); use a "
                "smaller batch_size=, or fewer actors a node"
            )
            yield _row(index, 0, _message(error, []))
            return
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", ShapleyCamWarning)
            number = -1
            for number, result in enumerate(self._results(content)):
                yield _row(index, number, _message(result, caught))
                caught.clear()
        yield _row(index, number + 1, None)

    def _results(self, content: bytes) -> Iterator[Any]:
        """Yield the results of an item; an error is yielded as a result too, and is raised in the user's process."""
        value: Any = pickle.loads(content)  # noqa: S301  # nosec B301  # pickled by this engine
        if isinstance(value, ShapleyCamError):
            yield value
            return
        try:
            for step in self._steps:
                value = step(value)
            yield from value
        except Exception as error:  # noqa: BLE001  as below
            yield _sendable(error)


def _sendable(error: Exception) -> ShapleyCamError:
    """Return an error that can be pickled, and whose message is clear without a traceback."""
    return error if isinstance(error, ShapleyCamError) else cluster_error(f"{type(error).__name__}: {error}")


def _change_folder(folder: str) -> None:
    """Change to the user's folder if this machine has it, so that relative paths are the same as for the user."""
    with suppress(OSError):
        os.chdir(folder)


def _prepare_row(batch: pa.Table, prepare: Callable[[Any], Any], folder: str) -> pa.Table:
    """Return a row with the prepared item, or with the error of its preparation."""
    _change_folder(folder)
    value: Any = pickle.loads(batch["content"][0].as_py())  # noqa: S301  # nosec B301  # as above
    try:
        value = prepare(value)
    except Exception as error:  # noqa: BLE001  raised in the user's process
        value = _sendable(error)
    return pa.table({"index": batch["index"], "content": pa.array([pickle.dumps(value)], pa.large_binary())})


def _row(index: int, number: int, message: bytes | None) -> pa.Table:
    """Return the row for an item's result of this number; a message of None marks the end of the item's results."""
    return pa.table({"index": [index], "nth": [number], "content": pa.array([message], pa.large_binary())})


def _message(result: Any, caught: Sequence[warnings.WarningMessage]) -> bytes:
    """Return a pickle of a result, or of an error, and of the warnings that were issued meanwhile."""
    texts = [
        (warning.category, str(warning.message))
        for warning in caught
        if issubclass(warning.category, ShapleyCamWarning)
    ]
    return pickle.dumps((result, texts))
