"""The explanation of a question: what the first tab shows, and what its pictures and downloads are made of."""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt

import torch

from shapleycam.cams.bases import EXACT
from shapleycam.cams.table import Method, method_of
from shapleycam.explanations.explanation import Explanation
from shapleycam.values.options import EstimatorOptions
from shapleycam.web.resolved import DEFAULT_METHOD, ResolvedQuestion

_EXACT_SIDE = 3
"""Regions down and across for exact values, 512 coalitions: unlike sampling they cannot be stopped half-way."""


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


def _longest_side(row: Method) -> int | None:
    """Return how many regions down and across are the players at most; None for any number."""
    if row.basis is EXACT:
        return _EXACT_SIDE
    return None if row.most_players is None else isqrt(row.most_players)


@torch.no_grad()
def _explain(resolved: ResolvedQuestion, method: str) -> Explained:
    traced_batch = resolved.trace(method, "shapleycam")  # the second for the curvature
    game = resolved.game(traced_batch)
    side = _longest_side(method_of(method))
    regions = None if side is None else resolved.regions(game, side)
    options = EstimatorOptions(players=regions, progress=resolved.progress)
    explanations = traced_batch.compare([method], resolved.target, resolved.utility, options, curvature=True)
    return Explained(explanations[method], float(game.grand[0]), regions, resolved.against)
