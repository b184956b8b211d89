"""`size_pool`: the number of actors for a cluster, and the resources of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from shapleycam.errors import ClusterWarning, OptionError, warn


@dataclass(frozen=True)
class Pool:
    """The actors of a cluster.

    Attributes:
        actors: maximum number of actors.
        room: number of actors that fit into the cluster now.
        cpus: CPUs of each actor.
        gpus: GPUs of each actor.
        ahead: whether separate tasks prepare items. This keeps a GPU busy; for a model on CPUs, such tasks would only
            take CPUs away from it (docs/decisions.md, "On processors an actor decodes by itself").
    """

    actors: int
    room: int
    cpus: int
    gpus: float
    ahead: bool


def size_pool(nodes: Sequence[Mapping[str, float]], actors: int | None, cpus: int | None, gpus: float | None) -> Pool:
    """Return the pool for nodes with these resources, which have Ray's names ("CPU", "GPU").

    An argument of None is chosen as follows. Each actor gets one GPU if the cluster has GPUs. It gets one CPU beside a
    GPU, and otherwise as many CPUs as the smallest node has. There are as many actors as fit.

    Raises:
        OptionError: not one actor fits, and `actors` is None.

    Examples:
        >>> from shapleycam.experiments.engines.ray.pool import size_pool
        >>> size_pool([{"CPU": 64.0, "GPU": 8.0}], actors=None, cpus=None, gpus=None)
        Pool(actors=8, room=8, cpus=1, gpus=1.0, ahead=True)
    """
    cpus_of_nodes = [int(node["CPU"]) for node in nodes if node.get("CPU", 0) >= 1]
    gpus = gpus if gpus is not None else float(any(node.get("GPU") for node in nodes))
    cpus = cpus or (1 if gpus else min(cpus_of_nodes, default=1))
    room = sum(_count_fitting(node, cpus, gpus) for node in nodes)
    needed = f"{cpus} CPUs" + (f" and {gpus:g} GPUs" if gpus else "")
    present = "; ".join(f"{node.get('CPU', 0):g} CPUs, {node.get('GPU', 0):g} GPUs" for node in nodes)
    if not room and actors is None:
        raise OptionError(
            f"no node of the Ray cluster has room for an actor of {needed} (its nodes: {present}); ask for less, or "
            "give actors= if the cluster grows on demand"
        )
    if room < (actors or 0):
        warn(
            ClusterWarning,
            f"the Ray cluster has room for {room} of {actors} actors of {needed} each (its nodes: {present}); it goes "
            "on with these, and with more if the cluster grows",
        )
    count = actors or room
    spare_cpus = sum(cpus_of_nodes) - min(count, room) * cpus
    return Pool(count, room, cpus, gpus, ahead=gpus > 0 and spare_cpus >= 1)


def _count_fitting(node: Mapping[str, float], cpus: int, gpus: float) -> int:
    """Return how many actors fit on a node."""
    by_cpus = int(node.get("CPU", 0) // cpus)
    return min(by_cpus, int(node.get("GPU", 0) // gpus)) if gpus else by_cpus
