"""Taylor estimates of Shapley values: φ_j = Σ_k (A - R)_kj D_kj with D from derivatives at the activation.

Source: arXiv:2501.06261, where R, the content of absent players, is zero. First order is D = g, exact for a linear
utility; second order is D = g - ½ H·(A - R), exact for a quadratic utility.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from shapleycam.errors import OptionError
from shapleycam.game import Game
from shapleycam.values.shares import ShapleyValues


def taylor(game: Game, order: int = 2) -> ShapleyValues:
    """Compute Taylor estimates of first order (from the gradient) or second order (with a Hessian-vector product).

    Args:
        game: the game of b images with n players.
        order: 1 or 2.

    Returns:
        The values (b, n), in units of the utility, without a standard error; `evaluations` counts derivatives.

    Raises:
        OptionError: another order.
        DerivativeError: an operation in the head has no second derivative.

    Examples:
        >>> import torch
        >>> from shapleycam import Explainer
        >>> from shapleycam.values import exact, taylor
        >>> _ = torch.manual_seed(0)
        >>> pool = torch.nn.AdaptiveAvgPool2d(1)
        >>> model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 4, stride=4), pool, torch.nn.Flatten())
        >>> game = Explainer(model, layer="0", device="cpu").game(torch.rand(1, 3, 8, 8))
        >>> error = (taylor(game).values - exact(game).values).norm() / game.grand.abs()
        >>> bool(error < 0.01)
        True
    """
    if order not in {1, 2}:
        raise OptionError(f"order is {order}; expected 1 or 2")
    derivative = first_order(game) if order == 1 else second_order(game)
    return ShapleyValues(values_from_derivative(game, derivative), None, torch.full_like(game.target, order))


def values_from_derivative(game: Game, derivative: Float[Tensor, "b *shape"]) -> Float[Tensor, "b n"]:
    """Return φ_j = Σ_k (A - R)_kj D_kj, summed over each player's positions."""
    return game.players.totals(game.layout.positions(game.contents.difference * derivative).sum(2))


def first_order(game: Game) -> Float[Tensor, "b *shape"]:
    """Return D = g, the gradient of the utility (one head gradient)."""
    return game.gradient()


def second_order(game: Game) -> Float[Tensor, "b *shape"]:
    """Return D = g - ½ H·(A - R) (one head gradient and one Hessian-vector product)."""
    return torch.sub(game.gradient(), game.hvp(game.contents.difference), alpha=0.5)
