"""Which questions are answered by values that come while somebody watches, and the games of these."""

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
    """How a method's values come: what draws them, and among whom they are divided where the address does not say."""

    make: Callable[[Game, Explanation], WatchedInput]
    default_players: str


_WATCHED = {
    "sampledshapley": _Watched(SampledInput, DEFAULT_PLAYERS),
    "owen": _Watched(RefinedInput, DEFAULT_NESTED_PLAYERS),
}
"""The methods that are watched at layer "input", where each run is one of the whole model."""


def is_watched(resolved: ResolvedQuestion) -> bool:
    """Return whether a question is answered by runs of the whole model that are worth to be watched."""
    return method_of(resolved.method).name in _WATCHED and not resolved.smooth and resolved.is_at_input


def watched_players(resolved: ResolvedQuestion) -> Regions:
    """Return among whom a watched question divides."""
    return resolved.players or read_players(_WATCHED[method_of(resolved.method).name].default_players)


def watched_input(resolved: ResolvedQuestion) -> WatchedInput | None:
    """Return the question's game at the input, from the cache where it is there.

    None where it is not watched, or its coalitions need no run of the model each, so that there is nothing to wait for.
    """
    if not is_watched(resolved):
        return None
    name = method_of(resolved.method).name
    watched: WatchedInput | None = resolved.cached_game(lambda: _make(resolved, name), name, players=True)
    return watched


@torch.no_grad()
def _make(resolved: ResolvedQuestion, name: str) -> WatchedInput | None:
    traced_batch = resolved.trace("shapleycam")  # so that the curvature can be had
    players = watched_players(resolved)
    game = resolved.game(traced_batch, players)
    if run_limit(game, EstimatorOptions()) is None:
        return None
    with ignore_warnings():
        options = EstimatorOptions(players=players)
        explanations = traced_batch.compare(["randomcam"], game.target, resolved.utility, options, curvature=True)
    # randomcam needs no run of the model; of its explanation all but the values is of use.
    image = replace(explanations["randomcam"], method=METHODS[name].name, coalition_cost=game.coalition_cost)
    return _WATCHED[name].make(game, image)
