"""The explanation of a question: what the first tab shows, and what its pictures and downloads are made of."""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt, prod

import torch

from shapleycam.cams.bases import EXACT
from shapleycam.cams.method import Method
from shapleycam.cams.table import METHODS, method_of
from shapleycam.explanations.explanation import Explanation
from shapleycam.game import Game
from shapleycam.values.options import EstimatorOptions
from shapleycam.values.run_limit import RUNS_AT_INPUT
from shapleycam.web.resolved import DEFAULT_METHOD, ResolvedQuestion
from shapleycam.wording import smoothing_phrase

_EXACT_SIDE, _CHEAP_SIDE = 3, 4
"""Regions down and across for exact values: 512 coalitions, each a run of what comes after the layer; 65,536 where a
shortcut makes them cheap (a third of a second of the default model)."""


@dataclass(frozen=True)
class Explained:
    """An explanation of the question's image, and `grand`, what there was to divide among so many `players`.

    `regions` are the players where the layer's cells are not; `against` is the number of the other class, if any.
    """

    explanation: Explanation
    grand: float
    players: int
    regions: tuple[int, int] | None
    against: int | None

    @property
    def are_exact(self) -> bool:
        """Return whether all coalitions were evaluated."""
        return METHODS[self.explanation.method].basis is EXACT


def explained(resolved: ResolvedQuestion) -> Explained:
    """Return one method's explanation, from one forward pass, or from the cache."""
    method = method_of(resolved.question.method or DEFAULT_METHOD).name
    made: Explained = resolved.cached(
        f"explained by {method}{smoothing_phrase(resolved.smooth)}", lambda: _explain(resolved, method)
    )
    return made


def _longest_side(row: Method, game: Game) -> int | None:
    """Return how many regions down and across are the players at most; None for any number."""
    if row.basis is EXACT:
        structure = game.structure
        if structure.is_sum and game.is_affine:  # exact values have a closed form, for any number of players
            return None
        is_cheap = structure.reads_mean or structure.is_sum or structure.averages_positions
        return _CHEAP_SIDE if is_cheap else _EXACT_SIDE
    most = row.most_players_of(RUNS_AT_INPUT) if game.is_at_input else row.most_players
    return None if most is None else isqrt(most)


@torch.no_grad()
def _explain(resolved: ResolvedQuestion, method: str) -> Explained:
    traced_batch = resolved.trace(method, "shapleycam")  # the second for the curvature
    game = resolved.game(traced_batch)
    side = _longest_side(method_of(method), game)
    regions = None if side is None else resolved.regions(game, side)
    options = EstimatorOptions(players=regions, progress=resolved.progress)
    explanations = resolved.explain(traced_batch, [method], options, curvature=True)
    places, prefix = prod(regions or game.layout.grid), int(game.layout.prefix > 0)
    return Explained(explanations[method], float(game.grand[0]), places + prefix, regions, resolved.against)
