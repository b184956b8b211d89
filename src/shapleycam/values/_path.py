"""Path (Aumann-Shapley) estimates: φ_j = Σ_k (A - R)_kj D_kj with D the mean gradient on the line from R to A.

R is the content of absent players, zero in the paper. Source: Aumann & Shapley, Values of Non-Atomic Games, 1974. With
one node D is the gradient in the middle of the line. For a quadratic utility this is g - ½ H·(A - R), the second-order
Taylor estimate, without a Hessian.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal, TypeAlias

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from shapleycam.errors import EfficiencyGapWarning, OptionError, warn
from shapleycam.game import Game
from shapleycam.values._taylor import values_from_derivative
from shapleycam.values.distance import efficiency_gap
from shapleycam.values.scale import ignores_scale, warn_of_ignored_scale
from shapleycam.values.shares import ShapleyValues
from shapleycam.values.tolerance import check_tolerance
from shapleycam.wording import percent

Nodes: TypeAlias = "int | Literal['auto']"
_FEWEST, MOST_NODES = 4, 64
"""The first and the largest number of nodes for `nodes="auto"`, which doubles it."""
_SUM_ROUNDINGS = 10
"""Rounding error of the values' sum: this multiple of the machine epsilon times Σ|φ|."""


def path(game: Game, nodes: Nodes = 8, tolerance: float = 0.01) -> ShapleyValues:
    """Compute path (Aumann-Shapley) estimates, from gradients at Gauss-Legendre nodes on the line from R to A.

    With nodes="auto" there is a warning if the values do not sum to v(N) with the largest number of nodes, or if the
    head ignores the activation's scale, so that no number of nodes is enough.

    Args:
        game: the game of b images with n players.
        nodes: the number of gradients; "auto" takes 4, 8, … 64 for each image, until its values sum to v(N).
        tolerance: for "auto", the maximum relative difference between the sum and v(N).

    Returns:
        The values (b, n), in units of the utility, without a standard error; `nodes` (b,) is the number of gradients.

    Raises:
        OptionError: fewer than one node, or a tolerance that is not positive.
        DerivativeError: an operation in the head has no derivative.

    Examples:
        >>> import torch
        >>> from shapleycam import Explainer
        >>> from shapleycam.values import path
        >>> _ = torch.manual_seed(0)
        >>> pool = torch.nn.AdaptiveAvgPool2d(1)
        >>> model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 4, stride=4), pool, torch.nn.Flatten())
        >>> game = Explainer(model, layer="0", device="cpu").game(torch.rand(1, 3, 8, 8))
        >>> shares = path(game, nodes="auto")
        >>> shares.values.shape, shares.nodes
        (torch.Size([1, 4]), tensor([4]))
    """
    derivative, taken = mean_gradient(game, nodes, tolerance)
    spent = taken if nodes != "auto" else 2 * taken - _FEWEST
    return ShapleyValues(values_from_derivative(game, derivative), None, spent, nodes=taken)


def mean_gradient(
    game: Game, nodes: Nodes = 8, tolerance: float = 0.01
) -> tuple[Float[Tensor, "b *shape"], Int[Tensor, " b"]]:
    """Return D = Σ_i w_i ∂U/∂A at R + t_i·(A - R), and the number of nodes for each image.

    t_i and w_i are the Gauss-Legendre nodes and weights on [0, 1].

    Raises:
        OptionError: fewer than one node.
    """
    if nodes != "auto":
        return _quadrature(game, nodes), torch.full_like(game.target, nodes)
    check_tolerance(tolerance)
    count = _FEWEST
    derivative, taken = _quadrature(game, count), torch.full_like(game.target, count)
    gap = _relative_gap(game, derivative, tolerance)
    while count < MOST_NODES and bool((gap > tolerance).any()):
        count *= 2
        is_unfinished = gap > tolerance
        better = _quadrature(game, count)
        derivative = torch.where(is_unfinished.view(-1, *[1] * (better.dim() - 1)), better, derivative)
        taken = torch.where(is_unfinished, count, taken)
        gap = _relative_gap(game, derivative, tolerance)
    if bool((gap > tolerance).any()):
        _warn_of_gap(game, gap, tolerance)
    return derivative, taken


def _relative_gap(game: Game, derivative: Float[Tensor, "b *shape"], tolerance: float) -> Float[Tensor, " b"]:
    """Return the efficiency gap, where |v(N)| is replaced by its rounding error if it is smaller."""
    values = values_from_derivative(game, derivative)
    of_sum = _SUM_ROUNDINGS * torch.finfo(values.dtype).eps * values.abs().sum(1) / tolerance
    return efficiency_gap(values, game.grand, torch.maximum(game.rounding, of_sum))


def _quadrature(game: Game, nodes: int) -> Float[Tensor, "b *shape"]:
    if not isinstance(nodes, int) or nodes < 1:
        raise OptionError(f"nodes is {nodes!r}; expected 1 or more gradients along the path, or 'auto'")
    return game.gradient_along(*_gauss_legendre(nodes))


@lru_cache
def _gauss_legendre(nodes: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the nodes and weights on [0, 1]."""
    points, weights = np.polynomial.legendre.leggauss(nodes)
    return tuple(((points + 1) / 2).tolist()), tuple((weights / 2).tolist())


def _warn_of_gap(game: Game, gap: Float[Tensor, " b"], tolerance: float) -> None:
    if ignores_scale(game):
        warn_of_ignored_scale(game)
        return
    images = ", ".join(map(str, (gap > tolerance).nonzero().flatten().tolist()))
    warn(
        EfficiencyGapWarning,
        f"{MOST_NODES} nodes along the path leave the values' sum up to {percent(float(gap.max()), 1)} away from v(N) "
        f"(image {images} of the batch), where {percent(tolerance, 1)} was asked; sampledshapley has no such gap",
    )
