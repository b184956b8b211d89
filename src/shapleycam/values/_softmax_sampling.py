"""Sample Shapley values of channels before a softmax, where one coalition gives the contributions of all channels.

A channel's Shapley value is the mean over t in [0, 1] of its marginal contribution to coalitions that each other
channel joins with probability t (Owen 1972). A round draws one t from each of some equal parts of [0, 1], and adds to
each coalition its complement (as for 1 - t). Rounds are independent; the standard error is computed from them.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from shapleycam.errors import ToleranceWarning, warn
from shapleycam.game import Game
from shapleycam.game.softmax_of_channels import SoftmaxOfChannels, softmax_of_channels
from shapleycam.images import Seed
from shapleycam.precision import accurate
from shapleycam.values.progress import Progress
from shapleycam.values.shares import ShapleyValues
from shapleycam.values.tolerance import check_tolerance
from shapleycam.wording import percent

_PARTS = 4
"""Number of parts of [0, 1]."""
_EACH = 2 * _PARTS
"""Coalitions of a round: one for each part, and its complement."""
_FEWEST, _MOST = 5, 1024
"""Minimum and maximum number of rounds; each step adds a quarter more."""


def softmax_sampling(
    game: Game, tolerance: float = 0.01, seed: Seed = 0, *, progress: Progress | None = None
) -> ShapleyValues | None:
    """Sample Shapley values (b, n) of channels with standard errors; None if the game is not a softmax of channels.

    The values sum to v(N): the missing part is divided among the channels by the squares of their standard errors.

    Args:
        game: the images' games; an image's values do not depend on the other images of the batch.
        tolerance: ‖stderr‖ / ‖values‖ at which sampling ends. It also ends after 8,192 coalitions, with a warning.
        seed: the coalitions are drawn from this seed and the image's content.
        progress: a function that is called after each image with its number of coalitions and ‖stderr‖ / ‖values‖.

    Raises:
        OptionError: the tolerance is not positive.
        ReplayError: the values of some coalitions differ from the model's own.

    Examples:
        >>> import torch
        >>> from shapleycam import Explainer
        >>> from shapleycam.values._softmax_sampling import softmax_sampling
        >>> head = torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(4, 5)
        >>> model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), *head)
        >>> game = Explainer(model, layer="0", device="cpu").game(torch.rand(1, 3, 8, 8), players="channels")
        >>> softmax_sampling(game).samples
        tensor([5])
    """
    check_tolerance(tolerance)
    games = softmax_of_channels(game)
    if games is None:
        return None
    rounds = []
    for of_image, own_seed in zip(games, game.seeds(seed), strict=True):
        rounds.append(_sample(of_image, torch.Generator().manual_seed(own_seed), tolerance))
        if progress is not None:
            progress(_EACH * len(rounds[-1]), _uncertainty(rounds[-1]))
    errors = torch.stack([_stderr(each) for each in rounds])
    means = torch.stack([each.mean(0) for each in rounds])
    missing = game.grand.to(means) - means.sum(1)
    weights = errors.square() / errors.square().sum(1, keepdim=True).clamp(min=torch.finfo(errors.dtype).tiny)
    counts = torch.tensor([len(each) for each in rounds], device=means.device)
    shares = ShapleyValues(means + missing[:, None] * weights, errors, _EACH * counts, samples=counts)
    _check_reached(shares.uncertainty, tolerance)
    return shares


def _sample(game: SoftmaxOfChannels, generator: torch.Generator, tolerance: float) -> Float[Tensor, "rounds n"]:
    """Return the estimates of independent rounds, as many as the tolerance takes, or the maximum number."""
    device = game.steps.device
    done = torch.empty(0, len(game.steps), dtype=accurate(device), device=device)
    while len(done) < _MOST and (len(done) < _FEWEST or _uncertainty(done) > tolerance):
        count = min(max(_FEWEST if not len(done) else 1, len(done) // 4), _MOST - len(done))
        coalitions = torch.cat([_coalitions(len(game.steps), generator) for _ in range(count)]).to(device)
        gained = game.contributions(coalitions).to(done)
        done = torch.cat([done, gained.unflatten(0, (count, _EACH)).mean(1)])
    return done


def _coalitions(n: int, generator: torch.Generator) -> Bool[Tensor, "each n"]:
    """Return the coalitions of a round."""
    t, draws = (torch.rand(_PARTS, count, generator=generator, dtype=torch.float32, device="cpu") for count in (1, n))
    chance = (torch.arange(_PARTS, device="cpu")[:, None] + t) / _PARTS
    joined = draws < chance
    return torch.cat([joined, ~joined])


def _stderr(rounds: Float[Tensor, "rounds n"]) -> Float[Tensor, " n"]:
    stderr: Tensor = rounds.std(0) / len(rounds) ** 0.5
    return stderr


def _uncertainty(rounds: Float[Tensor, "rounds n"]) -> float:
    size = float(rounds.mean(0).norm())
    return float(_stderr(rounds).norm()) / size if size > 0 else 0.0


def _check_reached(reached: Float[Tensor, " b"], tolerance: float) -> None:
    """Warn of images that did not reach the tolerance."""
    images = (~(reached <= tolerance)).nonzero().flatten().tolist()
    if images:
        warn(
            ToleranceWarning,
            f"after {_EACH * _MOST:,} coalitions the standard error of the channels' values is up to "
            f"{percent(float(reached.max()), 2)} of them (image {', '.join(map(str, images))} of the batch), where "
            f"{percent(tolerance, 2)} was asked; allow a larger tolerance",
        )
