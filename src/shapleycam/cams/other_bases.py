"""Further bases: the activation itself, and other values of the game's players than Shapley values."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from shapleycam.cams.bases import SAMPLED, Basis, Cost
from shapleycam.game import Game
from shapleycam.values._banzhaf import FEWEST, MOST_EVALUATIONS, MOST_EXACT, banzhaf, block_size
from shapleycam.values._owen import owen
from shapleycam.values._single import leave_one_out, single_inclusion
from shapleycam.values.options import EstimatorOptions
from shapleycam.values.run_limit import run_limit
from shapleycam.values.shares import PlayerValues

_TEAL, _OLIVE, _WINE, _INDIGO = "#44AA99", "#999933", "#882255", "#332288"
_ROSE = "#CC6677"
_OTHER_VALUES = "other values of the game"


def _ones(game: Game, _: EstimatorOptions) -> Float[Tensor, "b n k"]:
    """Return ones in place of a derivative, so that the activation itself is spread; zeros for prefix tokens."""
    ones = torch.ones_like(game.layout.positions(game.activation))
    ones[:, : game.layout.prefix] = 0
    return ones


def _leave_one_out(game: Game, _: EstimatorOptions) -> PlayerValues:
    return leave_one_out(game)


def _single_inclusion(game: Game, _: EstimatorOptions) -> PlayerValues:
    return single_inclusion(game)


def _banzhaf(game: Game, options: EstimatorOptions) -> PlayerValues:
    most = (run_limit(game, options) or MOST_EVALUATIONS) // game.runs_per_coalition
    return banzhaf(game, options.tolerance, options.seed, most_evaluations=most, progress=options.progress)


def _owen(game: Game, options: EstimatorOptions) -> PlayerValues:
    return owen(game, None, options.tolerance, options.seed, runs=run_limit(game, options), progress=options.progress)


def _banzhaf_cost(players: int, _: int) -> Cost:
    return Cost(head_evaluations=2**players if players <= MOST_EXACT else FEWEST * block_size(players))


ACTIVATION = Basis("activation", _ones, lambda _players, _nodes: Cost(), "factorisation", _TEAL, is_class_blind=True)
LEFT_OUT = Basis(
    "left out",
    _leave_one_out,
    lambda players, _nodes: Cost(head_evaluations=players),
    _OTHER_VALUES,
    _OLIVE,
    needs_replay=True,
    fewest_runs=lambda players: players,
)
ALONE = Basis(
    "alone",
    _single_inclusion,
    lambda players, _nodes: Cost(head_evaluations=players),
    _OTHER_VALUES,
    _WINE,
    needs_replay=True,
    fewest_runs=lambda players: players,
)
BANZHAF = Basis(
    "banzhaf",
    _banzhaf,
    _banzhaf_cost,
    _OTHER_VALUES,
    _INDIGO,
    needs_replay=True,
    options=("tolerance",),
    fewest_runs=lambda players: _banzhaf_cost(players, 0).head_evaluations,
)
OWEN = Basis(
    "owen",
    _owen,
    SAMPLED.cost,
    _OTHER_VALUES,
    _ROSE,
    needs_replay=True,
    options=("tolerance",),
    fewest_runs=SAMPLED.fewest_runs,
)
