"""What metrics ask of the model about a batch of explained images, each question once for all metrics and methods.

Methods whose heatmaps agree on the whole batch are a group, and share what is asked about the map: one pass of x·M
gives its score and the second heatmap of each of them, one of x·(1 - M) the other score. So ten methods with d distinct
maps cost 2·d passes after the one that explained them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from shapleycam.cams.table import method_of
from shapleycam.errors import OptionError
from shapleycam.explanations.explanation import Explanation
from shapleycam.game import Game
from shapleycam.metrics import table
from shapleycam.metrics.explained_batch import ExplainedBatch
from shapleycam.metrics.options import MetricOptions
from shapleycam.metrics.quantities import QUANTITIES

_AGREE = 2e-6
"""Heatmaps nearer to each other than this at every pixel are one map: they differ by rounding alone."""


class MetricEvaluator:
    """The quantities that metrics need, by name and method, made when they are first asked for.

    Args:
        subject: what was explained.
        explanations: of it, by method.
        wanted: the metrics that will be asked for.
        options: how images are changed.
        objects: (b, h, w), where the objects of the pointing metrics are.
        game: makes the game of the images; None makes it by a pass of its own.

    Raises:
        OptionError: a metric that these explanations cannot have.
    """

    def __init__(
        self,
        subject: ExplainedBatch,
        explanations: Mapping[str, Explanation],
        wanted: Sequence[str],
        options: MetricOptions,
        objects: Bool[Tensor, "b h w"] | None = None,
        game: Callable[[], Game] | None = None,
    ) -> None:
        self.subject: ExplainedBatch = subject
        self.explanations: Mapping[str, Explanation] = explanations
        self.options: MetricOptions = options
        self.objects: Tensor | None = objects
        self.needed: set[str] = table.needs(wanted)
        self.leaders: dict[str, str] = _leaders(explanations)
        self.make_game: Callable[[], Game] = game or subject.game
        self._made: dict[tuple[str, str], Any] = {}
        first = next(iter(explanations.values()))
        if first.heatmap.dim() != 3:
            raise OptionError(f"heatmaps have shape {tuple(first.heatmap.shape)}; metrics are of images, (b, h, w)")
        if "objects" in self.needed:
            who = [name for name in wanted if "objects" in table.METRICS[name].needs]
            self.objects = _checked(objects, first.heatmap, " and ".join(who))

    def metric(self, name: str, method: str) -> Float[Tensor, " b"]:
        """One metric of one method, image by image; NaN where it has no meaning."""
        row, explanation = table.METRICS[name], self.explanations[method]
        if row.in_units and not method_of(explanation.method).in_units:
            return torch.full_like(explanation.utility.double(), torch.nan)
        found: Tensor = row.function(*(self.quantity(need, method) for need in row.needs))
        return found

    def quantity(self, name: str, method: str) -> Any:
        """What a metric needs: a quantity of this name, or another metric."""
        if name in table.METRICS:
            return self.metric(name, method)
        row = QUANTITIES[name]
        whose = {"images": next(iter(self.leaders)), "map": self.leaders[method], "method": method}[row.of]
        if (name, whose) not in self._made:
            self._made[name, whose] = row.make(self, whose)
        return self._made[name, whose]

    def group(self, leader: str) -> list[str]:
        """The methods that have a method's map."""
        return [method for method, of in self.leaders.items() if of == leader]


def _leaders(explanations: Mapping[str, Explanation]) -> dict[str, str]:
    """For each method the first one with the same map."""
    leaders: dict[str, str] = {}
    for method, explanation in explanations.items():
        distinct = dict.fromkeys(leaders.values())
        same = (one for one in distinct if _agree(explanations[one].heatmap, explanation.heatmap))
        leaders[method] = next(same, method)
    return leaders


def _checked(objects: Any, heatmap: Tensor, who: str) -> Bool[Tensor, "b h w"]:
    """Where the objects are, of the heatmaps' shape and on their device."""
    if isinstance(objects, Tensor) and objects.shape == heatmap.shape and objects.dtype == torch.bool:
        return objects.to(heatmap.device)
    found = f"{objects.dtype} {tuple(objects.shape)}" if isinstance(objects, Tensor) else type(objects).__name__
    raise OptionError(
        f"objects= is {found}, and {who} ask where the objects are; give a tensor of booleans {tuple(heatmap.shape)}"
    )


def _agree(one: Tensor, other: Tensor) -> bool:
    return bool((one - other).abs().amax() <= _AGREE)
