"""What a quantity is: an intermediate result that metrics are computed from, with what it depends on as data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor

from shapleycam.explanations.explanation import Explanation
from shapleycam.game import Game
from shapleycam.metrics.explained_batch import ExplainedBatch
from shapleycam.metrics.options import MetricOptions


@dataclass(frozen=True)
class QuantityContext:
    """What every quantity may read, besides the quantities that it needs.

    `explanations` are those of `batch`, by method; `needed` are the names of all quantities that the metrics asked for
    are computed from; `leaders` gives for each method the first one with the same heatmap; `object_masks` (b, n, h, w)
    are true where the objects are, one mask for each; `make_game` returns the game of the batch.
    """

    batch: ExplainedBatch
    explanations: Mapping[str, Explanation]
    options: MetricOptions
    needed: frozenset[str]
    leaders: Mapping[str, str]
    object_masks: Tensor | None
    make_game: Callable[[], Game]

    def methods_with_map_of(self, leader: str) -> list[str]:
        """Return the methods whose heatmap is that of the method `leader`."""
        return [method for method, its_leader in self.leaders.items() if its_leader == leader]


def _no_passes(_: MetricOptions) -> int:
    return 0


@dataclass(frozen=True)
class Quantity:
    """A row of the table of quantities.

    `compute(context, method, *needs)` returns the quantity; it receives the quantities named in `needs`, in that order,
    so that it cannot depend on one that is not declared. `scope` says how often it is computed: once for the batch,
    once for each distinct heatmap, or once for each method. `passes(options)` says how many forward passes of the whole
    model one computation takes for an image; where the quantity `explained_for` is needed too, each of these passes is
    also explained, by the methods that the computation is for.
    """

    scope: Literal["batch", "map", "method"]
    compute: Callable[..., Any]
    needs: tuple[str, ...] = ()
    passes: Callable[[MetricOptions], int] = _no_passes
    explained_for: str | None = None
