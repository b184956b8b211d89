"""What is done where the cluster is: items prepared by tasks, and performed by actors that hold the model."""

from __future__ import annotations

import os
import pickle
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import suppress
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
) -> Generator[list[bytes], None, None]:
    """What the actors send, by Ray Data; `here` is the folder that relative paths are meant from."""
    ray = library()
    rows = [{"index": index, "content": pickle.dumps(item)} for index, item in enumerate(items)]
    data = ray.data.from_items(rows, override_num_blocks=len(rows))
    steps: tuple[Callable[[Any], Any], ...] = (prepare, perform)
    if pool.ahead:
        data = data.map_batches(_prepared, fn_args=(prepare, here), batch_size=1, batch_format="pyarrow", num_cpus=1)
        steps = (perform,)
    data = data.map_batches(
        _Actor,
        fn_constructor_args=(steps, beside_this_process(ray, _Tries), pool.cpus, here),
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
        yield batch["content"].to_pylist()


class Driver:
    """Ray Data where it can be: in the cluster, as the Ray Client (ray://) has none."""

    def __init__(self, *given: Any) -> None:
        quiet(library())
        self._contents = sent(*given)

    def following(self) -> list[bytes] | None:
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
                "--batch-size, or fewer actors a node"
            )
            yield _row(index, error, [])
            return
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always", ShapleyCamWarning)
            for result in self._results(content):
                yield _row(index, result, told)
                told.clear()

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


def _row(index: int, result: Any, told: Sequence[warnings.WarningMessage]) -> pa.Table:
    """A result, or an error in its place, with what was warned of meanwhile."""
    texts = [(each.category, str(each.message)) for each in told if issubclass(each.category, ShapleyCamWarning)]
    return pa.table({"index": [index], "content": pa.array([pickle.dumps((result, texts))], pa.large_binary())})
