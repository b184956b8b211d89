"""Values from a single change: v(N) - v(N without j), and v({j})."""

from __future__ import annotations

import torch
from jaxtyping import Bool
from torch import Tensor

from shapleycam.game import Game
from shapleycam.precision import accurate
from shapleycam.values.shares import PlayerValues


def leave_one_out(game: Game) -> PlayerValues:
    """Compute v(N) - v(N without j), the loss when only player j is removed.

    It is the player's marginal contribution at the end of an order. If two players have the same evidence, neither gets
    a value for it; the values do not sum to v(N). It takes n evaluations.

    Args:
        game: the game of b images with n players.

    Returns:
        The values (b, n), in units of the utility, without a standard error.

    Raises:
        ReplayError: the pass was not recorded for replay.

    Examples:
        >>> import torch
        >>> from shapleycam import Explainer
        >>> from shapleycam.values import leave_one_out
        >>> _ = torch.manual_seed(0)
        >>> pool = torch.nn.AdaptiveAvgPool2d(1)
        >>> model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 4, stride=4), pool, torch.nn.Flatten())
        >>> game = Explainer(model, layer="0", device="cpu").game(torch.rand(1, 3, 8, 8))
        >>> leave_one_out(game).values.shape
        torch.Size([1, 4])
    """
    without_player = game.value(~_single_players(game)).to(accurate(game.activation.device))
    return PlayerValues(game.grand[:, None].to(without_player) - without_player, None, _evaluations(game))


def single_inclusion(game: Game) -> PlayerValues:
    """Compute v({j}), the value of the coalition of player j only.

    It is the player's marginal contribution at the beginning of an order. The values do not sum to v(N). It takes n
    evaluations.

    Args:
        game: the game of b images with n players.

    Returns:
        The values (b, n), in units of the utility, without a standard error.

    Raises:
        ReplayError: the pass was not recorded for replay.

    Examples:
        >>> import torch
        >>> from shapleycam import Explainer
        >>> from shapleycam.values import single_inclusion
        >>> _ = torch.manual_seed(0)
        >>> pool = torch.nn.AdaptiveAvgPool2d(1)
        >>> model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 4, stride=4), pool, torch.nn.Flatten())
        >>> game = Explainer(model, layer="0", device="cpu").game(torch.rand(1, 3, 8, 8))
        >>> single_inclusion(game).values.shape
        torch.Size([1, 4])
    """
    values = game.value(_single_players(game)).to(accurate(game.activation.device))
    return PlayerValues(values, None, _evaluations(game))


def _single_players(game: Game) -> Bool[Tensor, "n n"]:
    """Return the coalitions of a single player."""
    return torch.eye(game.n_players, dtype=torch.bool, device=game.activation.device)


def _evaluations(game: Game) -> Tensor:
    return torch.full_like(game.target, game.n_players)
