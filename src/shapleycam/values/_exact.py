"""Exact Shapley values: the sum over all coalitions, or its closed form if the game has one.

Source: Shapley, A Value for n-Person Games, 1953.
"""

from __future__ import annotations

from math import comb, nan

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from shapleycam.errors import OptionError
from shapleycam.game import Game
from shapleycam.precision import accurate
from shapleycam.values._closed_form import closed_form
from shapleycam.values.progress import Progress
from shapleycam.values.shares import ShapleyValues

MOST_PLAYERS = 20
_AT_ONCE = 2**14


def exact(game: Game, *, progress: Progress | None = None) -> ShapleyValues:
    """Compute φ_j = Σ_S |S|! (n - |S| - 1)! / n! · (v(S ∪ j) - v(S)), in float64.

    It takes 2^n evaluations for each image, unless the game has a closed form. It has one if the utility is an affine
    function of the output (a logit, a difference of logits) and the output is a sum over positions, or over windows of
    at most nine positions (`game.structure`). Then n evaluations, or one for each contents of a window, are enough.

    Args:
        game: the game of b images with n players.
        progress: a function that is called after each batch with the number of coalitions of each image so far, and
            with NaN in place of a standard error; an exception ends the work.

    Returns:
        The values (b, n), in units of the utility, without a standard error.

    Raises:
        OptionError: there are more than 20 players, and there is no closed form.
        ReplayError: the closed form's values of some coalitions differ from the model's own.

    Examples:
        >>> import torch
        >>> from shapleycam import Explainer
        >>> from shapleycam.values import exact
        >>> _ = torch.manual_seed(0)
        >>> pool = torch.nn.AdaptiveAvgPool2d(1)
        >>> model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 4, stride=4), pool, torch.nn.Flatten())
        >>> game = Explainer(model, layer="0", device="cpu").game(torch.rand(1, 3, 8, 8))
        >>> values = exact(game).values
        >>> values.shape, torch.allclose(values.sum(1), game.grand.double(), atol=1e-5)
        (torch.Size([1, 4]), True)
    """
    n = game.n_players
    shares = closed_form(game)
    if shares is not None:
        return shares
    if n > MOST_PLAYERS:
        raise OptionError(
            f"the game has {n} players, and all coalitions are 2^{n}; expected at most {MOST_PLAYERS} players: group "
            "the cells into regions with players=(rows, columns), or sample them (values.permutation, sampledshapley)"
        )
    precise = accurate(game.activation.device)
    evaluated = 0

    def count(coalitions: int) -> None:
        nonlocal evaluated
        evaluated += coalitions
        if progress is not None:
            progress(evaluated // len(game.activation), nan)

    total = torch.zeros(len(game.activation), n, dtype=precise, device=game.activation.device)
    for start in range(0, 2**n, _AT_ONCE):
        inside = members(torch.arange(start, min(start + _AT_ONCE, 2**n), device="cpu"), n)
        weights = shapley_weights(inside).to(total.device, precise)
        total += game.value(inside, progress=count).to(precise) @ weights
    return ShapleyValues(total, None, torch.full((len(total),), 2**n, device=total.device))


def members(numbers: Int[Tensor, " s"], n: int) -> Bool[Tensor, "s n"]:
    """Return the coalitions with these numbers: player j is a member if bit j is set."""
    return (numbers[:, None] >> torch.arange(n, device="cpu")) % 2 == 1


def shapley_weights(inside: Bool[Tensor, "s n"]) -> Float[Tensor, "s n"]:
    """Return the weight of each coalition's value in each player's Shapley value."""
    n, sizes = inside.shape[1], inside.sum(1)
    joined = [0.0] + [1 / (size * comb(n, size)) for size in range(1, n + 1)]
    left = [-1 / ((n - size) * comb(n, size)) for size in range(n)] + [0.0]
    of_sizes = torch.tensor([left, joined], dtype=torch.float64, device="cpu")[:, sizes]
    return torch.where(inside, of_sizes[1][:, None], of_sizes[0][:, None])
