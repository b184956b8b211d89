"""`MetricEvaluator`: metrics of a batch of explained images; each quantity is computed once for all of them.

Methods whose heatmaps agree on the whole batch share all quantities that depend on the map. One forward pass of x·M
gives its score and the second heatmap of each of these methods, and one of x·(1 - M) gives the other score. So ten
methods with d distinct maps take 2·d forward passes in addition to the pass that explained them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from shapleycam.errors import OptionError
from shapleycam.explanations.explanation import Explanation
from shapleycam.game import Game
from shapleycam.metrics import table
from shapleycam.metrics.explained_batch import ExplainedBatch
from shapleycam.metrics.options import MetricOptions
from shapleycam.metrics.quantities import QUANTITIES
from shapleycam.metrics.quantity import QuantityContext

_SAME_MAP = 2e-6
"""Heatmaps that differ by at most this at every pixel count as the same map: the difference is rounding."""


class MetricEvaluator:
    """Computes the metrics of a batch by name and method; quantities are computed at their first use and cached.

    Args:
        batch: the images that were explained.
        explanations: the explanations of the batch, by method.
        metrics: the names of all metrics that will be computed.
        options: how images are changed.
        objects: masks of the objects: (b, n, h, w), or (b, h, w) with one object on each image.
        make_game: returns the game of the images; None makes the game by a new forward pass.

    Raises:
        OptionError: a metric is not defined for these explanations.
    """

    def __init__(
        self,
        batch: ExplainedBatch,
        explanations: Mapping[str, Explanation],
        metrics: Sequence[str],
        options: MetricOptions,
        objects: Bool[Tensor, "b *n h w"] | None = None,
        make_game: Callable[[], Game] | None = None,
    ) -> None:
        first = next(iter(explanations.values()))
        if first.heatmap.dim() != 3:
            raise OptionError(f"heatmaps have shape {tuple(first.heatmap.shape)}; metrics are of images, (b, h, w)")
        needed = table.required_quantities(metrics)
        if "object_masks" in needed:
            pointing = [name for name in metrics if table.needs_objects([name])]
            objects = _check_objects(objects, first.heatmap, " and ".join(pointing))
        self.explanations: Mapping[str, Explanation] = explanations
        self.needed: frozenset[str] = needed
        self._context = QuantityContext(
            batch, explanations, options, needed, group_by_map(explanations), objects, make_game or batch.game
        )
        self._computed: dict[tuple[str, str], Any] = {}

    def metric(self, name: str, method: str) -> Float[Tensor, " b"]:
        """Return one metric of one method for each image; NaN for images for which it is not defined."""
        row, explanation = table.METRICS[name], self.explanations[method]
        if row.in_units and not explanation.divides_score:
            return torch.full_like(explanation.utility.double(), torch.nan)
        value: Tensor = row.function(*(self.quantity(need, method) for need in row.needs))
        return value

    def quantity(self, name: str, method: str) -> Any:
        """Return the quantity of this name, or the metric of this name; both may be needed by other metrics."""
        if name in table.METRICS:
            return self.metric(name, method)
        row, leaders = QUANTITIES[name], self._context.leaders
        owner = {"batch": next(iter(leaders)), "map": leaders[method], "method": method}[row.scope]
        if (name, owner) not in self._computed:
            needs = (self.quantity(need, owner) for need in row.needs)
            self._computed[name, owner] = row.compute(self._context, owner, *needs)
        return self._computed[name, owner]


def group_by_map(explanations: Mapping[str, Explanation]) -> dict[str, str]:
    """Return for each method the first method with the same map on all images of the batch."""
    leaders: dict[str, str] = {}
    for method, explanation in explanations.items():
        distinct = dict.fromkeys(leaders.values())
        same = (leader for leader in distinct if _same_map(explanations[leader].heatmap, explanation.heatmap))
        leaders[method] = next(same, method)
    return leaders


def _same_map(first: Tensor, second: Tensor) -> bool:
    return bool((first - second).abs().amax() <= _SAME_MAP)


def _check_objects(objects: Any, heatmap: Tensor, metrics: str) -> Bool[Tensor, "b n h w"]:
    """Return a mask for each object on the heatmaps' device; refuse masks of other types or shapes."""
    if isinstance(objects, Tensor) and objects.dtype == torch.bool:
        if objects.shape == heatmap.shape:
            return objects[:, None].to(heatmap.device)
        if objects.dim() == 4 and (len(objects), *objects.shape[2:]) == heatmap.shape:
            return objects.to(heatmap.device)
    description = f"{objects.dtype} {tuple(objects.shape)}" if isinstance(objects, Tensor) else type(objects).__name__
    raise OptionError(
        f"objects= is {description}, with which {metrics} cannot be measured; give a tensor of booleans "
        f"{tuple(heatmap.shape)}, or with a mask for each object (b, objects, h, w)"
    )
