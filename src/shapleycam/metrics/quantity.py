"""`Quantity`: an intermediate result that metrics are computed from, with its dependencies declared as data."""

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

    Attributes:
        batch: the images that are evaluated.
        explanations: the explanations of `batch`, by method.
        options: the options of the metrics.
        needed: the names of all quantities that the requested metrics are computed from.
        leaders: for each method the first method with the same heatmap.
        object_masks: (b, n, h, w), one mask per object, true inside the object; None without masks.
        make_game: returns the game of the batch.
    """

    batch: ExplainedBatch
    explanations: Mapping[str, Explanation]
    options: MetricOptions
    needed: frozenset[str]
    leaders: Mapping[str, str]
    object_masks: Tensor | None
    make_game: Callable[[], Game]

    def methods_with_map_of(self, leader: str) -> list[str]:
        """Return the methods with the same heatmap as the method `leader`, itself included."""
        return [method for method, its_leader in self.leaders.items() if its_leader == leader]


def _no_passes(_: MetricOptions) -> int:
    return 0


@dataclass(frozen=True)
class Quantity:
    """A row of the table of quantities.

    Attributes:
        scope: how often it is computed: once for the batch, once for each distinct heatmap or once for each method.
        compute: `compute(context, method, *needs)` returns the quantity. It receives only the quantities named in
            `needs`, in that order, so it cannot depend on an undeclared one.
        needs: the names of the quantities that it is computed from.
        passes: `passes(options)` returns the number of forward passes of the whole model per image and computation.
        explained_for: the name of another quantity. If that is needed too, each of these passes is also explained, by
            the methods that the computation is for.
    """

    scope: Literal["batch", "map", "method"]
    compute: Callable[..., Any]
    needs: tuple[str, ...] = ()
    passes: Callable[[MetricOptions], int] = _no_passes
    explained_for: str | None = None
