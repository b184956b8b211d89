"""The engine: Ray Data over the items, by a pool of actors."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from shapleycam.errors import OptionError, ShapleyCamError, warn
from shapleycam.experiments.engines.ray.cluster import beside_this_process, cluster, failed, library, root_of
from shapleycam.experiments.engines.ray.pool import pool_for
from shapleycam.experiments.engines.ray.work import Driver, sent

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
        library()
        for name, least in (("actors", 1), ("cpus", 1), ("gpus", 0)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise OptionError(f"{name} of the Ray cluster is {value}; expected {least} or more")

    def run(
        self,
        items: Sequence[Item],
        prepare: Callable[[Item], Prepared],
        perform: Callable[[Prepared], Iterable[Result]],
    ) -> Generator[Result, None, None]:
        """As `Engine.run`; an item whose worker dies is tried again by another."""
        if not items:
            return
        with cluster(self.address) as ray:
            pool = pool_for(_nodes(ray), self.actors, self.cpus, self.gpus)
            given = (pool, str(Path.cwd()), items, prepare, perform)
            if ray.util.client.ray.is_connected():
                contents = _from(ray, beside_this_process(ray, Driver, *given))
            else:
                contents = sent(*given)
            with closing(contents):  # while Ray is there: what is left of the work would start it again
                yield from _received(ray, contents)

    def provenance(self) -> dict[str, Any]:
        """As `Engine.provenance`."""
        return {"engine": "ray", "actors": self.actors, "cpus": self.cpus, "gpus": self.gpus}


def _nodes(ray: Any) -> list[dict[str, float]]:
    """What each node of the cluster has."""
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def _from(ray: Any, driver: Any) -> Generator[bytes, None, None]:
    """What a driver in the cluster gets."""
    while (content := ray.get(driver.following.remote())) is not None:
        yield content


def _received(ray: Any, sent: Iterator[bytes]) -> Iterator[Any]:
    """The results in what actors send; their warnings are given again, their errors raised."""
    try:
        for content in sent:
            result, told = pickle.loads(content)  # noqa: S301  what this engine has pickled itself
            for category, text in told:
                warn(category, text)
            if isinstance(result, ShapleyCamError):
                raise result
            yield result
    except ray.exceptions.RayError as error:
        raise failed(root_of(error)) from error
