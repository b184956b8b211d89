"""Count the runs of a model in an evaluation, from the tables of methods and metrics."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod

from shapleycam.cams.bases import TYPICAL_CHANNELS, Basis, Cost
from shapleycam.cams.table import METHODS
from shapleycam.experiments.protocol import Protocol
from shapleycam.metrics.quantities import QUANTITIES
from shapleycam.metrics.table import required_quantities
from shapleycam.smoothing import SMOOTHINGS, Smooth


@dataclass(frozen=True)
class Passes:
    """Runs for one or several images.

    Attributes:
        forward: runs of the whole model.
        backward: gradients and Hessian-vector products of the head; those along a path also run the head forward.
        head: runs of the head without a gradient, for coalitions.

    Examples:
        >>> from shapleycam.experiments.passes import Passes
        >>> Passes(forward=1, backward=2) + 2 * Passes(forward=1)
        Passes(forward=3, backward=2, head=0)
    """

    forward: int = 0
    backward: int = 0
    head: int = 0

    def __add__(self, other: Passes) -> Passes:
        return Passes(self.forward + other.forward, self.backward + other.backward, self.head + other.head)

    def __rmul__(self, count: int) -> Passes:
        return Passes(count * self.forward, count * self.backward, count * self.head)


def passes_of_image(
    protocol: Protocol, maps: Sequence[Sequence[str]], players: int, channels: int = TYPICAL_CHANNELS
) -> Passes:
    """Return the runs for one image at one layer with one utility, without the pass that all utilities share.

    Work that is done once for a model, such as the checks of its first batch, is not counted. The sampling of true
    Shapley values is not counted either, since its number of runs depends on the image.

    Args:
        protocol: what is measured.
        maps: the methods of each distinct map; methods with the same map share the runs on masked images.
        players: the number of players of the layer's game.
        channels: the number of channels of the layer.

    Examples:
        >>> from shapleycam.experiments import Protocol
        >>> from shapleycam.experiments.passes import passes_of_image
        >>> protocol = Protocol(methods=("gradcam", "shapleycam"), metrics=("average_drop", "average_drop_in_deletion"))
        >>> passes_of_image(protocol, [["gradcam"], ["shapleycam"]], players=49)
        Passes(forward=4, backward=2, head=0)
    """
    total = _explained(protocol, protocol.methods, players, channels)
    if protocol.smooth:
        total = _with_passes(total, protocol.smooth)
    required = required_quantities(protocol.metrics)
    for quantity in (QUANTITIES[name] for name in required):
        forward = quantity.passes(protocol.options)
        groups = {"batch": [protocol.methods], "map": maps, "method": [[name] for name in protocol.methods]}
        for methods in groups[quantity.scope]:
            if quantity.explained_for in required:
                explained = _explained(protocol, methods, players, channels)
                total += forward * _with_passes(explained, protocol.smooth)
            else:
                total += Passes(forward=forward)
    return total


def shared_passes(protocol: Protocol) -> Passes:
    """Return the runs for an image at one layer that all utilities share: the traced pass, and that of the class rule.

    Smoothed maps are made from other passes. With smoothing, only the game uses the traced pass.

    Examples:
        >>> from shapleycam.experiments import Protocol
        >>> from shapleycam.experiments.passes import shared_passes
        >>> shared_passes(Protocol()), shared_passes(Protocol(class_rule="correct"))
        (Passes(forward=1, backward=0, head=0), Passes(forward=2, backward=0, head=0))
    """
    is_traced = not protocol.smooth or "game" in required_quantities(protocol.metrics)
    return Passes(forward=is_traced + (protocol.class_rule == "correct"))


def _explained(protocol: Protocol, methods: Sequence[str], players: int, channels: int) -> Passes:
    """Return the runs that explain an image by some methods, after its forward pass."""
    bases = {METHODS[name].basis for name in methods}
    costs = list(_costs(bases, protocol, players, channels))
    return Passes(
        forward=sum(cost.model_passes for cost in costs),
        backward=sum(cost.head_gradients for cost in costs),
        head=sum(cost.head_evaluations for cost in costs) * protocol.runs_per_coalition,
    )


def _with_passes(explained: Passes, smooth: Smooth) -> Passes:
    """Return the runs for one map with its forward passes; smoothed maps have several."""
    images = prod(SMOOTHINGS[name].images for name in smooth)
    return images * (Passes(forward=1) + explained) + Passes(
        forward=sum(SMOOTHINGS[name].more_passes for name in smooth)
    )


def _costs(bases: set[Basis], protocol: Protocol, players: int, channels: int) -> Iterator[Cost]:
    """Yield the cost of each basis; of Taylor estimates only the highest order, since lower ones share its gradient."""
    highest = max((basis.taylor_order or 0 for basis in bases), default=0)
    for basis in bases:
        if basis.taylor_order in {None, highest}:
            yield basis.cost_of(players, protocol.nodes, channels)
