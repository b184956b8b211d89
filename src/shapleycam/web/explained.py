"""The explanation of a question: what the first tab shows, and what its pictures and downloads are made of."""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt

import torch

from shapleycam.cams.table import method_of
from shapleycam.explanations.explanation import Explanation
from shapleycam.values.options import EstimatorOptions
from shapleycam.web.resolved import DEFAULT_METHOD, ResolvedQuestion


@dataclass(frozen=True)
class Explained:
    """An explanation of the question's image, and `grand`, what there was to divide.

    `regions` are the players where the layer's cells are not; `against` is the number of the other class, if any.
    """

    explanation: Explanation
    grand: float
    regions: tuple[int, int] | None
    against: int | None


def explained(resolved: ResolvedQuestion) -> Explained:
    """Return one method's explanation, from one forward pass, or from the cache."""
    method = method_of(resolved.question.method or DEFAULT_METHOD).name
    made: Explained = resolved.cached(f"explained by {method}", lambda: _explain(resolved, method))
    return made


@torch.no_grad()
def _explain(resolved: ResolvedQuestion, method: str) -> Explained:
    traced_batch = resolved.trace(method, "shapleycam")  # the second for the curvature
    game = resolved.game(traced_batch)
    most = method_of(method).most_players  # where more would take too long, regions are the players
    regions = None if most is None else resolved.regions(game, isqrt(most))
    options = EstimatorOptions(players=regions, progress=resolved.progress)
    explanations = traced_batch.compare([method], resolved.target, resolved.utility, options, curvature=True)
    return Explained(explanations[method], float(game.grand[0]), regions, resolved.against)
