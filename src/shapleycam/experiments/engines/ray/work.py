"""What is done where the cluster is: items prepared by tasks, and performed by actors that hold the model."""

from __future__ import annotations

import os
import pickle
import warnings
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from typing import Any

import pyarrow as pa
import torch

from shapleycam.errors import OptionError, ShapleyCamError, ShapleyCamWarning
from shapleycam.experiments.engines.ray.cluster import beside_this_process, failed, library, quiet
from shapleycam.experiments.engines.ray.pool import Pool

_TRIES = 5
"""How often an item may end its worker."""


def sent(
    pool: Pool, here: str, items: Sequence[Any], prepare: Callable[[Any], Any], perform: Callable[[Any], Any]
) -> Generator[bytes, None, None]:
    """What the actors send, by Ray Data; `here` is the folder that relative paths are meant from.

    Ray Data tries again what an actor that died was at, except where it dies in the moment that it sends. Then all of
    the work ends, and what is left of it is begun again here.
    """
    ray = library()
    lost = ray.exceptions.RayActorError, ray.exceptions.ObjectLostError, ray.exceptions.NodeDiedError
    left = {index: pickle.dumps(item) for index, item in enumerate(items)}
    received = dict.fromkeys(left, 0)
    # Where Ray placed it on another node and that one leaves, it begins to count again elsewhere.
    tries = beside_this_process(ray, _Tries, max_restarts=-1, max_task_retries=-1)
    losses = 0
    while left:
        try:
            with closing(_rows(pool, here, left, prepare, perform, tries)) as rows:
                for index, nth, content in rows:
                    if content is None:
                        del left[index]
                        losses = 0
                    elif nth == received[index]:  # not sent already, before the work was begun again
                        received[index] += 1
                        yield content
        except lost:
            losses += 1
            if losses == _TRIES:
                raise


def _rows(
    pool: Pool,
    here: str,
    items: Mapping[int, bytes],
    prepare: Callable[[Any], Any],
    perform: Callable[[Any], Any],
    tries: Any,
) -> Generator[tuple[int, int, bytes | None], None, None]:
    """What Ray Data makes of the items, as `_row` has it."""
    ray = library()
    rows = [{"index": index, "content": content} for index, content in items.items()]
    data = ray.data.from_items(rows, override_num_blocks=len(rows))
    steps: tuple[Callable[[Any], Any], ...] = (prepare, perform)
    if pool.ahead:
        data = data.map_batches(_prepared, fn_args=(prepare, here), batch_size=1, batch_format="pyarrow", num_cpus=1)
        steps = (perform,)
    data = data.map_batches(
        _Actor,
        fn_constructor_args=(steps, tries, pool.cpus, here),
        compute=ray.data.ActorPoolStrategy(
            min_size=1,  # so that idle ones make room for one whose node has left
            initial_size=max(1, min(pool.room, pool.actors, len(items))),
            max_size=pool.actors,
            max_tasks_in_flight_per_actor=2 if pool.ahead else 1,  # the next part is on its way to a GPU that waits
        ),
        batch_size=1,
        batch_format="pyarrow",
        num_cpus=pool.cpus,
        num_gpus=pool.gpus,
    )
    for batch in data.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
        yield from zip(*(batch[name].to_pylist() for name in ("index", "nth", "content")), strict=True)


class Driver:
    """Ray Data where it can be: in the cluster, as the Ray Client (ray://) has none."""

    def __init__(self, *given: Any) -> None:
        quiet(library())
        self._contents = sent(*given)

    def following(self) -> bytes | None:
        """What is sent next; None at the end."""
        return next(self._contents, None)


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

    def __init__(self, steps: Sequence[Callable[[Any], Any]], tries: Any, threads: int, here: str) -> None:
        torch.set_num_threads(threads)
        _work_in(here)
        self._steps, self._tries = steps, tries

    def __call__(self, batch: pa.Table) -> Iterator[pa.Table]:
        index, content = batch["index"][0].as_py(), batch["content"][0].as_py()
        if library().get(self._tries.begun.remote(index)) > _TRIES:
            error = OptionError(
                f"a part of the work ended its worker {_TRIES} times (out of memory, most likely); use a smaller "
                "batch_size=, or fewer actors a node"
            )
            yield _row(index, 0, _content(error, []))
            return
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always", ShapleyCamWarning)
            nth = -1
            for nth, result in enumerate(self._results(content)):
                yield _row(index, nth, _content(result, told))
                told.clear()
        yield _row(index, nth + 1, None)

    def _results(self, content: bytes) -> Iterator[Any]:
        """What the steps make of an item; an error in its place, which is raised where the user is."""
        found: Any = pickle.loads(content)  # noqa: S301  what this engine has pickled itself
        if isinstance(found, ShapleyCamError):
            yield found
            return
        try:
            for step in self._steps:
                found = step(found)
            yield from found
        except Exception as error:  # noqa: BLE001
            yield _as_ours(error)


def _as_ours(error: Exception) -> ShapleyCamError:
    """An error that can be sent, with a reason that needs no traceback."""
    return error if isinstance(error, ShapleyCamError) else failed(f"{type(error).__name__}: {error}")


def _work_in(folder: str) -> None:
    """Let relative paths mean what they mean to the user, where there is such a folder."""
    with suppress(OSError):
        os.chdir(folder)


def _prepared(batch: pa.Table, prepare: Callable[[Any], Any], here: str) -> pa.Table:
    """The first step, by a task."""
    _work_in(here)
    found: Any = pickle.loads(batch["content"][0].as_py())  # noqa: S301
    try:
        found = prepare(found)
    except Exception as error:  # noqa: BLE001  raised where the user is
        found = _as_ours(error)
    return pa.table({"index": batch["index"], "content": pa.array([pickle.dumps(found)], pa.large_binary())})


def _row(index: int, nth: int, content: bytes | None) -> pa.Table:
    """A result of an item, the `nth` of it; no content where there are no more."""
    return pa.table({"index": [index], "nth": [nth], "content": pa.array([content], pa.large_binary())})


def _content(result: Any, told: Sequence[warnings.WarningMessage]) -> bytes:
    """A result, or an error in its place, with what was warned of meanwhile."""
    texts = [(each.category, str(each.message)) for each in told if issubclass(each.category, ShapleyCamWarning)]
    return pickle.dumps((result, texts))
