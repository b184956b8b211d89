"""How many actors a cluster has room for, and what each gets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from shapleycam.errors import ClusterWarning, OptionError, warn


@dataclass(frozen=True)
class Pool:
    """Actors at most, for how many there is room now, and what each gets; `ahead`: tasks of their own prepare.

    They are where the model is on a GPU. Where it is on processors, those tasks would only take them from it.
    """

    actors: int
    room: int
    cpus: int
    gpus: float
    ahead: bool


def pool_for(nodes: Sequence[Mapping[str, float]], actors: int | None, cpus: int | None, gpus: float | None) -> Pool:
    """The pool on nodes with these resources, by Ray's names ("CPU", "GPU"); None is chosen.

    Chosen are: one GPU where the cluster has some, and one CPU beside it; otherwise the processors of the smallest
    node; and as many actors as there is room for.

    Raises:
        OptionError: there is room for none, and no number was asked for.
    """
    processors = [int(node["CPU"]) for node in nodes if node.get("CPU", 0) >= 1]
    gpus = gpus if gpus is not None else float(any(node.get("GPU") for node in nodes))
    cpus = cpus or (1 if gpus else min(processors, default=1))
    room = sum(_room(node, cpus, gpus) for node in nodes)
    wanted = f"{cpus} CPUs" + (f" and {gpus:g} GPUs" if gpus else "")
    found = "; ".join(f"{node.get('CPU', 0):g} CPUs, {node.get('GPU', 0):g} GPUs" for node in nodes)
    if not room and actors is None:
        raise OptionError(
            f"no node of the Ray cluster has room for an actor of {wanted} (its nodes: {found}); ask for less, or give "
            "actors= if the cluster grows when it is asked to"
        )
    if room < (actors or 0):
        warn(
            ClusterWarning,
            f"the Ray cluster has room for {room} of {actors} actors of {wanted} each (its nodes: {found}); it goes on "
            "with these, and with more if the cluster grows",
        )
    chosen = actors or room
    left = sum(processors) - min(chosen, room) * cpus
    return Pool(chosen, room, cpus, gpus, ahead=gpus > 0 and left >= 1)


def _room(node: Mapping[str, float], cpus: int, gpus: float) -> int:
    """How many actors fit on a node."""
    room = int(node.get("CPU", 0) // cpus)
    return min(room, int(node.get("GPU", 0) // gpus)) if gpus else room
