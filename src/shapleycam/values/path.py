"""Path (Aumann-Shapley) estimate: φ_j = Σ_k A_kj D_kj with D the mean gradient on the way from 0 to A.

Source: Aumann & Shapley, Values of Non-Atomic Games, 1974. With one node D is the gradient at A/2, which for a
quadratic utility is g - ½ H·A, the second-order Taylor estimate, without a Hessian.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from shapleycam.errors import OptionError
from shapleycam.game import Game


def path(game: Game, nodes: int = 8) -> Float[Tensor, "b *shape"]:
    """D = Σ_i w_i ∂U/∂A at t_i·A, Gauss-Legendre nodes t_i and weights w_i on [0, 1] (`nodes` head gradients).

    Raises:
        OptionError: fewer than one node.
    """
    if nodes < 1:
        raise OptionError(f"nodes is {nodes}; expected 1 or more gradients along the path")
    places, weights = np.polynomial.legendre.leggauss(nodes)
    total = torch.zeros_like(game.activation)
    for place, weight in zip((places + 1) / 2, weights / 2, strict=True):
        total.add_(game.gradient(float(place) * game.activation), alpha=float(weight))
    return total
