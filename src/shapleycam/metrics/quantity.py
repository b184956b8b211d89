"""`Quantity`: an intermediate result from which metrics are computed, with its dependencies and its cost."""

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
    """The inputs that every quantity may use, in addition to the quantities that it needs.

    Attributes:
        batch: the explained images.
        explanations: the explanations of the batch, by method.
        options: the options of metrics.
        needed: the names of all quantities that the chosen metrics need.
        leaders: for each method, the first method with the same heatmaps.
        object_masks: a mask (b, n, h, w) of each object; None if no metric needs them.
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
        """Return the methods with the same heatmaps as the method `leader`."""
        return [method for method, first in self.leaders.items() if first == leader]


def _no_passes(_: MetricOptions) -> int:
    return 0


@dataclass(frozen=True)
class Quantity:
    """A row of the table of quantities.

    Attributes:
        scope: how often the quantity is computed: once for the batch, for each distinct heatmap, or for each method.
        compute: a function (context, method, *needs) that returns the quantity. It receives the quantities named in
            `needs`, in that order, so that it cannot use a quantity that is not declared.
        needs: the names of the quantities that it needs.
        passes: a function of the options that returns the number of forward passes, for one image, of a computation.
        explained_for: the name of a quantity; if that is needed too, each of these passes is also explained by the
            methods that the computation is for.
    """

    scope: Literal["batch", "map", "method"]
    compute: Callable[..., Any]
    needs: tuple[str, ...] = ()
    passes: Callable[[MetricOptions], int] = _no_passes
    explained_for: str | None = None
