"""Values from a single change: what the others lose without a player, and what it is worth alone."""

from __future__ import annotations

import torch
from jaxtyping import Bool
from torch import Tensor

from shapleycam.game import Game
from shapleycam.precision import accurate
from shapleycam.values.shares import PlayerValues


def leave_one_out(game: Game) -> PlayerValues:
    """Compute v(N) - v(N without j), what is lost when player j alone is removed.

    It is a player's marginal contribution at the end of every order, so that what two players have twice is nobody's:
    the values do not sum to v(N). It takes n evaluations.

    Args:
        game: of b images with n players.

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
    without_it = game.value(~_alone(game)).to(accurate(game.activation.device))
    return PlayerValues(game.grand[:, None].to(without_it) - without_it, None, _evaluations(game))


def single_inclusion(game: Game) -> PlayerValues:
    """Compute v({j}), what player j is worth alone.

    It is a player's marginal contribution at the beginning of every order: the values do not sum to v(N). It takes n
    evaluations.

    Args:
        game: of b images with n players.

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
    alone = game.value(_alone(game)).to(accurate(game.activation.device))
    return PlayerValues(alone, None, _evaluations(game))


def _alone(game: Game) -> Bool[Tensor, "n n"]:
    return torch.eye(game.n_players, dtype=torch.bool, device=game.activation.device)


def _evaluations(game: Game) -> Tensor:
    return torch.full_like(game.target, game.n_players)
