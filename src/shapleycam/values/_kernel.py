"""KernelSHAP: the weighted least-squares fit of an additive game, with Σ φ = v(N) as a constraint.

Source: Lundberg & Lee 2017, arXiv:1705.07874; the constrained solution and paired sampling: Covert & Lee 2021,
arXiv:2012.01536.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool
from torch import Tensor

from shapleycam.errors import OptionError
from shapleycam.game import Game
from shapleycam.precision import accurate
from shapleycam.values.shares import ShapleyValues


def kernel(game: Game, evaluations: int = 2048, seed: int = 0) -> ShapleyValues:
    """Return the additive game that fits v best at random coalitions, drawn in pairs of a coalition and its complement.

    Sizes are drawn in proportion to the Shapley kernel's weight of a size, (n - 1) / (|S| (n - |S|)), so that the fit
    itself is unweighted.

    Args:
        game: the game of b images with n players.
        evaluations: the number of coalitions; an odd number is rounded up.
        seed: the coalitions are drawn from this seed and the image's content.

    Returns:
        The values (b, n), in units of the utility, in float64, without a standard error.

    Raises:
        OptionError: the coalitions are too few to determine all values.

    Examples:
        >>> import torch
        >>> from shapleycam import Explainer
        >>> from shapleycam.values import kernel
        >>> _ = torch.manual_seed(0)
        >>> pool = torch.nn.AdaptiveAvgPool2d(1)
        >>> model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 4, stride=4), pool, torch.nn.Flatten())
        >>> game = Explainer(model, layer="0", device="cpu").game(torch.rand(1, 3, 8, 8))
        >>> values = kernel(game, evaluations=64).values
        >>> values.shape, torch.allclose(values.sum(1), game.grand.double(), atol=1e-5)
        (torch.Size([1, 4]), True)
    """
    n, device = game.n_players, game.activation.device
    precise = accurate(device)
    if n == 1:
        return ShapleyValues(game.grand[:, None].to(precise), None, torch.zeros_like(game.target))
    pairs = -(-evaluations // 2)
    if pairs < 1:
        raise _too_few(evaluations, n)
    drawn = torch.stack([_coalitions(pairs, n, image_seed) for image_seed in game.seeds(seed)]).to(device)
    worth = game.value(drawn).to(precise)
    inside, total = drawn.to(precise), game.grand[:, None].to(precise)
    # The constraint Σ φ = v(N) is substituted: the last player's share is v(N) minus those of the others.
    features = inside[..., :-1] - inside[..., -1:]
    targets = worth - inside[..., -1] * total
    normal = features.mT @ features
    if bool((torch.linalg.matrix_rank(normal) < n - 1).any()):
        raise _too_few(evaluations, n)
    others = torch.linalg.solve(normal, (features.mT @ targets[..., None]))[..., 0]
    values = torch.cat([others, total - others.sum(1, keepdim=True)], 1)
    return ShapleyValues(values, None, torch.full_like(game.target, 2 * pairs))


def _too_few(evaluations: int, n: int) -> OptionError:
    # With 8 n coalitions the fit is almost always unique even for few players: for 4, in all but 1 of 10,000 draws.
    advised = max(8 * n, 2 * evaluations)
    return OptionError(f"evaluations is {evaluations}; expected more, about {advised}, to tell {n} players apart")


def _coalitions(pairs: int, n: int, seed: int) -> Bool[Tensor, "s n"]:
    """Return random coalitions of sizes 1 to n - 1, followed by their complements."""
    generator = torch.Generator().manual_seed(seed)
    sizes = torch.arange(1, n, device="cpu")
    drawn = torch.multinomial(1 / (sizes * (n - sizes)), pairs, replacement=True, generator=generator)
    ranks = torch.rand(pairs, n, generator=generator, dtype=torch.float32, device="cpu").argsort(1).argsort(1)
    inside = ranks < sizes[drawn][:, None]
    return torch.cat([inside, ~inside])
