"""The work in the cluster: items are prepared by tasks, and performed by actors that hold the model."""

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
"""How often an item may end its worker, and how often all of the work may be begun again without progress."""


@dataclass(frozen=True)
class Work:
    """Items and the two steps for each, the pool that does them, and the folder that relative paths start from."""

    pool: Pool
    folder: str
    items: Sequence[Any]
    prepare: Callable[[Any], Any]
    perform: Callable[[Any], Any]


def stream_results(work: Work) -> Generator[bytes, None, None]:
    """Yield the messages of the actors, each a pickled result with its warnings, by Ray Data.

    Ray Data itself tries again what an actor that died was working on, except where it dies in the moment that it
    sends. Then all of the work ends, and what is left of it is begun again here; results that were received already are
    not yielded twice (docs/decisions.md, "Ray Data tries a dead actor's task again").
    """
    ray = import_ray()
    lost = ray.exceptions.RayActorError, ray.exceptions.ObjectLostError, ray.exceptions.NodeDiedError
    left = {index: pickle.dumps(item) for index, item in enumerate(work.items)}
    received = dict.fromkeys(left, 0)
    # Where Ray placed the counter on another node and that node leaves, it starts from 0 elsewhere.
    tries = start_actor_on_this_node(ray, _make_counter_class(), max_restarts=-1, max_task_retries=-1)
    losses = 0
    while left:
        try:
            with closing(_stream_rows(work, left, tries)) as rows:
                for index, number, message in rows:
                    if message is None:  # the item is done
                        del left[index]
                        losses = 0
                    elif number == received[index]:  # not received already, before the work was begun again
                        received[index] += 1
                        yield message
        except lost:
            losses += 1
            if losses == _TRIES:
                raise


def _stream_rows(
    work: Work, items: Mapping[int, bytes], tries: Any
) -> Generator[tuple[int, int, bytes | None], None, None]:
    """Yield the rows (index, number, message) that Ray Data makes of the items, as `_row` has them."""
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
            min_size=1,  # so that idle ones make room for one whose node has left
            initial_size=max(1, min(pool.room, pool.actors, len(items))),
            max_size=pool.actors,
            max_tasks_in_flight_per_actor=2 if pool.ahead else 1,  # the next item is on its way to a GPU that waits
        ),
        batch_size=1,
        batch_format="pyarrow",
        num_cpus=pool.cpus,
        num_gpus=pool.gpus,
    )
    for batch in data.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
        yield from zip(*(batch[name].to_pylist() for name in ("index", "nth", "content")), strict=True)


class Driver:
    """Runs Ray Data in the cluster, for callers by the Ray Client (ray://), which has none."""

    def __init__(self, work: Work) -> None:
        silence(import_ray())
        self._messages = stream_results(work)

    def next_message(self) -> bytes | None:
        """Return the next message of an actor, None at the end."""
        return next(self._messages, None)


def _make_counter_class() -> type:
    """Return the class that counts how often each item was begun.

    It runs in a process of its own, which the death of a worker does not reach. Ray sends a local class as its code, so
    that this process does not import torch and all of this package, as it would to find a class of a module.
    """

    class TryCounter:
        def __init__(self) -> None:
            self.counts: dict[int, int] = {}

        def count(self, index: int) -> int:
            """Return how often an item was begun, this time included."""
            self.counts[index] = self.counts.get(index, 0) + 1
            return self.counts[index]

    return TryCounter


class _Actor:
    """A worker process, which holds the model from item to item."""

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
        """Yield the results of an item; an error is a result too, and raised in the user's process."""
        value: Any = pickle.loads(content)  # noqa: S301  # nosec B301  # what this engine has pickled itself
        if isinstance(value, ShapleyCamError):
            yield value
            return
        try:
            for step in self._steps:
                value = step(value)
            yield from value
        except Exception as error:  # noqa: BLE001
            yield _sendable(error)


def _sendable(error: Exception) -> ShapleyCamError:
    """Return an error that can be pickled, and whose message says enough without a traceback."""
    return error if isinstance(error, ShapleyCamError) else cluster_error(f"{type(error).__name__}: {error}")


def _change_folder(folder: str) -> None:
    """Enter the user's folder where this machine has it, so that relative paths mean what they mean to the user."""
    with suppress(OSError):
        os.chdir(folder)


def _prepare_row(batch: pa.Table, prepare: Callable[[Any], Any], folder: str) -> pa.Table:
    """Return a row with the item prepared, or with the error in its place: the first step, by a task."""
    _change_folder(folder)
    value: Any = pickle.loads(batch["content"][0].as_py())  # noqa: S301  # nosec B301  # as above
    try:
        value = prepare(value)
    except Exception as error:  # noqa: BLE001  raised in the user's process
        value = _sendable(error)
    return pa.table({"index": batch["index"], "content": pa.array([pickle.dumps(value)], pa.large_binary())})


def _row(index: int, number: int, message: bytes | None) -> pa.Table:
    """Return the row of an item's result of this number; with no message it says that there are no more."""
    return pa.table({"index": [index], "nth": [number], "content": pa.array([message], pa.large_binary())})


def _message(result: Any, caught: Sequence[warnings.WarningMessage]) -> bytes:
    """Return a result, or an error, pickled with the warnings that came meanwhile."""
    texts = [
        (warning.category, str(warning.message))
        for warning in caught
        if issubclass(warning.category, ShapleyCamWarning)
    ]
    return pickle.dumps((result, texts))
