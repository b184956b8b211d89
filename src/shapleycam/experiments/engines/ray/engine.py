"""`Ray`: an engine that works on a Ray cluster, with Ray Data and a pool of actors."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shapleycam.errors import OptionError, ShapleyCamError, warn
from shapleycam.experiments.engines.engine import Item, Prepared, Result
from shapleycam.experiments.engines.ray.cluster import (
    cluster_error,
    connected,
    import_ray,
    root_cause,
    start_actor_on_this_node,
)
from shapleycam.experiments.engines.ray.pool import size_pool
from shapleycam.experiments.engines.ray.work import Driver, Work, stream_results


@dataclass(frozen=True)
class Ray:
    """The engine on a Ray cluster; if a worker dies, another worker tries its item again.

    Args:
        address: "auto" for the cluster of this machine, HOST:PORT, or ray://HOST:PORT; None for the cluster in the
            environment variable RAY_ADDRESS, or else for a temporary cluster on this machine.
        actors: maximum number of processes that hold the model; None for as many as fit.
        cpus: CPUs of each actor; None for one if the actor has a GPU, and else for all CPUs of the smallest node.
        gpus: GPUs of each actor; None for 1 if the cluster has GPUs, and else for 0.

    Raises:
        OptionError: ray is not installed, or a number is out of range.

    Examples:
        >>> from shapleycam.experiments import Ray, RunSettings
        >>> RunSettings(engine=Ray("auto", actors=4)).local  # doctest: +SKIP
        False
    """

    address: str | None = None
    actors: int | None = None
    cpus: int | None = None
    gpus: float | None = None

    def __post_init__(self) -> None:
        """Refuse numbers out of range, and a missing ray package."""
        import_ray()
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
        """Yield the results of all items, as `Engine.run`; items may come in any order.

        Raises:
            ShapleyCamError: a step raised it, or the cluster cannot be reached or was lost.
        """
        if not items:
            return
        with connected(self.address) as ray:
            pool = size_pool(_resources_of_nodes(ray), self.actors, self.cpus, self.gpus)
            work = Work(pool, str(Path.cwd()), items, prepare, perform)
            # The Ray Client (ray://) does not support Ray Data; then Ray Data runs in an actor in the cluster.
            if ray.util.client.ray.is_connected():
                messages = _messages_from(ray, start_actor_on_this_node(ray, Driver, work))
            else:
                messages = stream_results(work)
            with closing(messages):  # before Ray is disconnected: later it would start the rest of the work again
                yield from _unpack(ray, messages)

    def provenance(self) -> dict[str, Any]:
        """Return the engine's entries in the manifest."""
        return {"engine": "ray", "actors": self.actors, "cpus": self.cpus, "gpus": self.gpus}


def _resources_of_nodes(ray: Any) -> list[dict[str, float]]:
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def _messages_from(ray: Any, driver: Any) -> Generator[bytes, None, None]:
    """Yield the messages that a driver in the cluster receives."""
    while (message := ray.get(driver.next_message.remote())) is not None:
        yield message


def _unpack(ray: Any, messages: Iterator[bytes]) -> Iterator[Any]:
    """Yield the results in the actors' messages; issue their warnings, and raise their errors."""
    try:
        for message in messages:
            result, caught = pickle.loads(message)  # noqa: S301  # nosec B301  # pickled by this engine
            for category, text in caught:
                warn(category, text)
            if isinstance(result, ShapleyCamError):
                raise result
            yield result
    except ray.exceptions.RayError as error:
        raise cluster_error(root_cause(error)) from error
