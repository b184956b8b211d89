"""Taylor estimates of the Shapley values: φ_j = Σ_k A_kj D_kj with D from derivatives at the activation.

Source: arXiv:2501.06261. First order is D = g, exact for a linear utility; second order is D = g - ½ H·A, exact for
a quadratic one.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from shapleycam.game import Game


def first_order(game: Game) -> Float[Tensor, "b *shape"]:
    """D = g, the gradient of the utility (one head gradient)."""
    return game.gradient()


def second_order(game: Game) -> Float[Tensor, "b *shape"]:
    """D = g - ½ H·A (one head gradient and one Hessian-vector product)."""
    return game.gradient() - 0.5 * game.hvp(game.activation)
