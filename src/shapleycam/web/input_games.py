"""Watched questions: their values come step by step while the visitor watches. This module makes their games."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from shapleycam.cams.table import METHODS, method_of
from shapleycam.errors import ignore_warnings
from shapleycam.explanations.explanation import Explanation
from shapleycam.game import Game
from shapleycam.game.players import Regions
from shapleycam.values.options import EstimatorOptions
from shapleycam.values.run_limit import run_limit
from shapleycam.web.player_choices import DEFAULT_NESTED_PLAYERS, DEFAULT_PLAYERS, read_players
from shapleycam.web.refined_input import RefinedInput
from shapleycam.web.resolved import ResolvedQuestion
from shapleycam.web.sampled_input import SampledInput
from shapleycam.web.watched_input import WatchedInput


@dataclass(frozen=True)
class _Watched:
    """How a method's values are computed while a visitor watches, and the default players."""

    make: Callable[[Game, Explanation], WatchedInput]
    default_players: str


_WATCHED = {
    "sampledshapley": _Watched(SampledInput, DEFAULT_PLAYERS),
    "owen": _Watched(RefinedInput, DEFAULT_NESTED_PLAYERS),
}
"""The methods that are watched at layer "input", where each coalition is a run of the whole model."""


def is_watched(resolved: ResolvedQuestion) -> bool:
    """Return whether a question is answered by many runs of the whole model, whose progress visitors can watch."""
    return method_of(resolved.method).name in _WATCHED and not resolved.smooth and resolved.is_at_input


def watched_players(resolved: ResolvedQuestion) -> Regions:
    """Return the players of a watched question."""
    return resolved.players or read_players(_WATCHED[method_of(resolved.method).name].default_players)


def watched_input(resolved: ResolvedQuestion) -> WatchedInput | None:
    """Return the question's game at the input, from the cache if possible.

    None if it is not watched, or if its coalitions do not each need a run of the model: there is nothing to wait for.
    """
    if not is_watched(resolved):
        return None
    name = method_of(resolved.method).name
    watched: WatchedInput | None = resolved.cached_game(lambda: _make(resolved, name), name, players=True)
    return watched


@torch.no_grad()
def _make(resolved: ResolvedQuestion, name: str) -> WatchedInput | None:
    traced_batch = resolved.trace("shapleycam")  # so that the curvature can be computed
    players = watched_players(resolved)
    game = resolved.game(traced_batch, players)
    if run_limit(game, EstimatorOptions()) is None:
        return None
    with ignore_warnings():
        options = EstimatorOptions(players=players)
        explanations = traced_batch.compare(["randomcam"], game.target, resolved.utility, options, curvature=True)
    # randomcam needs no run of the model; only the values of its explanation are not used.
    image = replace(explanations["randomcam"], method=METHODS[name].name, coalition_cost=game.coalition_cost)
    return _WATCHED[name].make(game, image)
