"""Shapley values in closed form, for utilities that are affine in the output of a head that is a sum.

If the head is a sum over positions, the game is additive, and a player's value is v({j}). If the head is affine in the
channels' means, the game is additive in the channels, and a channel's value is its content times the gradient. If the
head is a sum over windows, the game is a sum of games with at most nine players each.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from shapleycam.game import Game
from shapleycam.game.window_table import WindowedUtility
from shapleycam.precision import accurate
from shapleycam.values._taylor import first_order, values_from_derivative
from shapleycam.values._window_game import WindowGame
from shapleycam.values.shares import ShapleyValues

_CHECKED = 2
"""Random coalitions whose values in closed form are compared with the head's own."""
_MANY = 2**20


def closed_form(game: Game) -> ShapleyValues | None:
    """Return exact values for any number of players; None if the game has no closed form.

    Raises:
        ReplayError: the values of some coalitions differ from the model's own.
    """
    if not game.is_affine:
        return None
    structure = game.structure
    if structure.is_sum:
        return _of_positions(game)
    if structure.is_sum_of_channels:
        return _of_channels(game)
    windows = game.windows(min(2**game.n_players, _MANY)) if structure.is_affine else None
    return None if windows is None else _of_windows(game, windows)


def _of_positions(game: Game) -> ShapleyValues:
    n, device = game.n_players, game.activation.device
    single_players = torch.eye(n, dtype=torch.bool, device=device)
    values = game.value(single_players).to(accurate(device))
    game.check_closed_form(values.sum(1), game.grand.to(values))
    return ShapleyValues(values, None, torch.full_like(game.target, n))


def _of_channels(game: Game) -> ShapleyValues:
    """Return the values of a utility that is affine in the channels' means, and so has a constant gradient."""
    values = values_from_derivative(game, first_order(game)).to(accurate(game.activation.device))
    some = _some_coalitions(game)
    game.check_closed_form(values @ some.to(values).mT, game.value_by_head(some).to(values))
    return ShapleyValues(values, None, torch.ones_like(game.target))


def _some_coalitions(game: Game) -> Bool[Tensor, "s n"]:
    """Return random coalitions of half of the players, and all players."""
    generator = torch.Generator().manual_seed(0)
    n = game.n_players
    some = torch.rand(_CHECKED, n, generator=generator, dtype=torch.float32, device="cpu") < 0.5
    return torch.cat([some, torch.ones(1, n, dtype=torch.bool, device="cpu")]).to(game.activation.device)


def _of_windows(game: Game, windows: WindowedUtility) -> ShapleyValues:
    games = [_window_game(game, windows, image) for image in range(len(game.activation))]
    some = _some_coalitions(game)
    empty_coalition = torch.zeros_like(some[:1])
    by_sum = torch.stack([each.value(some) - each.value(empty_coalition) for each in games])
    game.check_closed_form(by_sum, game.value(some).to(by_sum))
    values = torch.stack([each.shapley() for each in games])
    return ShapleyValues(values, None, torch.full_like(game.target, games[0].worth.shape[1]))


def _window_game(game: Game, windows: WindowedUtility, image: int) -> WindowGame:
    """Return the game of an image as a sum over windows, for a utility that is affine in their mean."""
    table = windows.table(image)
    count, precise = len(table.entries), accurate(table.entries.device)
    empty = table.entries[:, 0].mean(0)
    _, gradient = windows.differentiate(empty[None], image)
    slope: Float[Tensor, " features"] = gradient[0].to(precise) / count
    worth = torch.stack([entries.to(precise) @ slope for entries in table.entries])[..., None]
    return WindowGame(worth, table.members, worth.new_ones(game.n_players + 1, 1), worth.new_zeros(1))
