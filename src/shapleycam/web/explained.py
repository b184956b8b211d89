"""The explanation of a question, which the first tab, its pictures and its downloads show."""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt

import torch

from shapleycam.cams.bases import EXACT
from shapleycam.cams.method import Method
from shapleycam.cams.table import METHODS, method_of
from shapleycam.errors import OptionError
from shapleycam.explanations.explanation import Explanation
from shapleycam.game import Game
from shapleycam.game.players import Regions
from shapleycam.values.options import EstimatorOptions
from shapleycam.values.run_limit import RUNS_AT_INPUT
from shapleycam.web.input_games import watched_input, watched_players
from shapleycam.web.resolved import ResolvedQuestion
from shapleycam.web.watched_input import Step, WatchedInput
from shapleycam.wording import counted, smoothing_phrase

_EXACT_SIDE, _CHEAP_SIDE = 3, 4
"""Regions down and across for exact values. 3 x 3 regions have 512 coalitions, each a run of the head. If a shortcut
makes coalitions cheap, 4 x 4 regions have 65,536, which take a third of a second with the default model."""


@dataclass(frozen=True)
class Explained:
    """An explanation of the question's image.

    Attributes:
        explanation: the explanation.
        grand: the score that is divided.
        players: the number of players.
        regions: the players in words, such as "7 x 7 regions"; None if they are the layer's cells.
        against: the number of the class that is explained against; None if there is none.
    """

    explanation: Explanation
    grand: float
    players: int
    regions: str | None
    against: int | None

    @property
    def are_exact(self) -> bool:
        """Return whether all coalitions were evaluated."""
        return METHODS[self.explanation.method].basis is EXACT

    @property
    def has_no_error(self) -> bool:
        """Return whether values of a sampling method are exact, because all coalitions they need were evaluated."""
        stderr = self.explanation.stderr
        return stderr is not None and not bool(stderr.any())


def explained(resolved: ResolvedQuestion) -> Explained:
    """Return one method's explanation, from the cache or from a forward pass and possibly sampling."""
    method = method_of(resolved.method).name
    question = resolved.question
    what = f"explained by {method}{smoothing_phrase(resolved.smooth)}, {question.players}, {question.runs}"
    made: Explained = resolved.cached(what, lambda: _explain(resolved, method))
    return made


def explained_after(resolved: ResolvedQuestion, runs: str) -> Explained:
    """Return the explanation after this number of runs of the model, for a question whose sampling is watched.

    Raises:
        OptionError: the question is not watched, or has no step with this number of runs.
    """
    watched = watched_input(resolved)
    for step in () if watched is None else watched.steps(resolved.run_plan, resolved.check):
        if str(step.runs) == runs and watched is not None:
            return _of_step(resolved, watched, step)
    raise OptionError(f"part in the address is {runs[:40]!r}; expected the runs of the model that a state was made of")


def _of_step(resolved: ResolvedQuestion, watched: WatchedInput, step: Step) -> Explained:
    game = watched.game
    regions = _in_words(watched_players(resolved), game)
    if step.players is not game.players:
        regions = f"{counted(step.players.count, 'group')} of {regions}"
    grand = float(game.grand[0])
    return Explained(watched.explanation(step), grand, step.players.count, regions, resolved.against)


def _in_words(players: Regions, game: Game) -> str | None:
    """Return the players in words; None if they are the layer's cells."""
    if players is None:
        return None
    if isinstance(players, tuple):
        return f"{' x '.join(map(str, players))} regions"
    if isinstance(players, str):
        return f"{game.n_players} {players.partition(':')[0]}"
    return f"{game.n_players} regions"


def _longest_side(row: Method, game: Game) -> int | None:
    """Return the maximum number of regions down and across as players; None for no limit."""
    if row.basis is EXACT:
        structure = game.structure
        if structure.is_sum and game.is_affine:  # exact values have a closed form, for any number of players
            return None
        is_cheap = structure.reads_mean or structure.is_sum or structure.averages_positions
        return _CHEAP_SIDE if is_cheap else _EXACT_SIDE
    most = row.most_players_of(RUNS_AT_INPUT) if game.is_at_input else row.most_players
    return None if most is None else isqrt(most)


def _players(resolved: ResolvedQuestion, row: Method, game: Game) -> Regions:
    """Return the players of a method: those in the address, or as many regions as the page can compute."""
    plays_game = row.basis.fewest_runs is not None
    if plays_game and resolved.players is not None:
        return resolved.players
    side = _longest_side(row, game)
    return None if side is None else resolved.regions(game, side)


@torch.no_grad()
def _explain(resolved: ResolvedQuestion, method: str) -> Explained:
    watched = watched_input(resolved)
    if watched is not None:
        (*_, last) = watched.steps(resolved.run_plan, resolved.check)
        return _of_step(resolved, watched, last)
    traced_batch = resolved.trace(method, "shapleycam")  # the second for the curvature
    game = resolved.game(traced_batch)
    players = _players(resolved, method_of(method), game)
    options = EstimatorOptions(players=players, progress=resolved.progress, runs=resolved.runs)
    explanations = resolved.explain(traced_batch, [method], options, curvature=True)
    if players is not None:
        game = resolved.game(traced_batch, players)
    return Explained(
        explanations[method], float(game.grand[0]), game.n_players, _in_words(players, game), resolved.against
    )
