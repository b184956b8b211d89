"""Banzhaf values: a player's mean marginal contribution over all coalitions of the others, all equally likely.

Source: Banzhaf, Weighted voting doesn't work, 1965. The values are the coefficients of the additive game closest to v
(Hammer & Holzman 1992). They equal E[v(S) | j in S] - E[v(S) | j not in S], so that each coalition is used for every
player (maximum sample reuse: Wang & Jia 2023, arXiv:2205.15466).

With independent coalitions each value would have noise from the values of all other players. So coalitions are drawn in
blocks, in which any two players are on the same side (both in, or both out) in half of the coalitions. A block is the
signs of a Hadamard matrix, with the players at random columns, random signs of the columns, and each row with its
complement. It is unbiased, because each coalition is uniformly random, and has no error for games of pairs. The
remaining error comes from interactions of three, five, … players.
"""

from __future__ import annotations

from math import nan

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from shapleycam.errors import OptionError, ToleranceWarning, warn
from shapleycam.game import Game
from shapleycam.images import Seed
from shapleycam.precision import accurate
from shapleycam.values._exact import members
from shapleycam.values.progress import Progress
from shapleycam.values.shares import PlayerValues
from shapleycam.values.tolerance import check_tolerance
from shapleycam.wording import percent

MOST_EXACT = 12
"""Maximum number of players for which all coalitions are evaluated: 4,096, fewer than sampling takes."""
FEWEST = 8
"""Minimum number of blocks, from which a standard error is computed."""
MOST_EVALUATIONS = 2**18


def banzhaf(
    game: Game,
    tolerance: float = 0.01,
    seed: Seed = 0,
    *,
    most_evaluations: int = MOST_EVALUATIONS,
    progress: Progress | None = None,
) -> PlayerValues:
    """Compute β_j = Σ_S (v(S ∪ j) - v(S)) / 2^(n - 1) over all S without j: exact up to 12 players, else sampled.

    The values do not sum to v(N).

    Args:
        game: the game of b images with n players; an image's values do not depend on the other images of the batch.
        tolerance: for more than 12 players, ‖standard error‖ / ‖values‖ at which sampling ends; 0.01 is 1%.
        seed: coalitions are drawn from this seed and the image's content.
        most_evaluations: the maximum number of evaluations, but at least eight blocks are drawn. There is a warning if
            the tolerance is not reached.
        progress: a function that is called after each round with the number of coalitions of an image so far and the
            largest ‖standard error‖ / ‖values‖; an exception ends the sampling.

    Returns:
        The values (b, n), in units of the utility, in float64, with their standard errors; None for exact values.

    Raises:
        OptionError: the tolerance or the number of evaluations is not positive.

    Examples:
        >>> import torch
        >>> from shapleycam import Explainer
        >>> from shapleycam.values import banzhaf
        >>> _ = torch.manual_seed(0)
        >>> pool = torch.nn.AdaptiveAvgPool2d(1)
        >>> model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 4, stride=4), pool, torch.nn.Flatten())
        >>> game = Explainer(model, layer="0", device="cpu").game(torch.rand(1, 3, 8, 8))
        >>> banzhaf(game).values.shape, banzhaf(game).stderr
        (torch.Size([1, 4]), None)
    """
    check_tolerance(tolerance)
    if most_evaluations < 1:
        raise OptionError(f"most_evaluations is {most_evaluations}; expected 1 or more")
    if game.n_players <= MOST_EXACT:
        return _exact(game, progress)
    blocks = _Blocks(game, seed)
    active = torch.arange(len(game.activation), device="cpu")
    most, count = max(FEWEST, most_evaluations // blocks.size), 0
    while len(active) and count < most:
        step = min(max(1, count // 4) if count else FEWEST, most - count)
        blocks.draw(step, active)
        count += step
        reached = blocks.values().uncertainty.cpu()
        if progress is not None:
            progress(count * blocks.size, float(reached.max()))
        active = (~(reached <= tolerance)).nonzero().flatten()
    _warn_of_tolerance(reached, active, tolerance)
    return blocks.values()


def block_size(n: int) -> int:
    """Return the number of coalitions in a block for n players: twice the smallest power of two above n.

    Examples:
        >>> block_size(49), block_size(63), block_size(64)
        (128, 128, 256)
    """
    return 2 << n.bit_length()


def draw_block(n: int, generator: torch.Generator) -> Bool[Tensor, "s n"]:
    """Return a block of coalitions; any two players are on the same side in half of them. Complements come last."""
    rows = block_size(n) // 2
    columns = torch.randperm(rows - 1, generator=generator, device="cpu")[:n] + 1  # column 0 has a single sign
    flipped = torch.rand(n, generator=generator, dtype=torch.float32, device="cpu") < 0.5
    shared = columns & torch.arange(rows, device="cpu")[:, None]
    is_odd = torch.zeros_like(shared, dtype=torch.bool)  # Sylvester's matrix: the parity of the bits in common
    for bit in range(n.bit_length()):
        is_odd ^= (shared >> bit) % 2 == 1
    inside = is_odd ^ flipped
    return torch.cat([inside, ~inside])


class _Blocks:
    """The running mean and variance of each image's estimates, one for each block."""

    def __init__(self, game: Game, seed: Seed) -> None:
        self._game = game
        self._generators = [torch.Generator().manual_seed(image_seed) for image_seed in game.seeds(seed)]
        self.size = block_size(game.n_players)
        device = game.activation.device
        zeros = torch.zeros(len(game.activation), game.n_players, dtype=accurate(device), device=device)
        self._mean, self._squares = zeros, zeros.clone()  # of the deviations from the mean
        self._count = torch.zeros_like(game.target)

    def draw(self, count: int, images: Int[Tensor, " a"]) -> None:
        """Draw and evaluate `count` more blocks of some images."""
        rows = images.to(self._mean.device)
        for _ in range(count):
            n = self._game.n_players
            inside = torch.stack([draw_block(n, self._generators[image]) for image in images.tolist()]).to(rows.device)
            estimate = _differences(self._game.value(inside, images), inside)
            self._count[rows] += 1
            change = estimate - self._mean[rows]
            self._mean[rows] += change / self._count[rows, None]
            self._squares[rows] += change * (estimate - self._mean[rows])

    def values(self) -> PlayerValues:
        """Return the mean of each image's blocks, with its standard error."""
        count = self._count[:, None]
        stderr = (self._squares / (count * (count - 1))).sqrt()
        return PlayerValues(self._mean.clone(), stderr, self._count * self.size, samples=self._count.clone())


def _differences(worth: Float[Tensor, "a s"], inside: Bool[Tensor, "a s n"]) -> Float[Tensor, "a n"]:
    """Return for each player the mean over coalitions with it less the mean over coalitions without it.

    Each player must be in half of the coalitions.
    """
    precise = worth.to(accurate(worth.device))
    signs = torch.where(inside, 1.0, -1.0).to(precise)
    return (precise[:, None] @ signs)[:, 0] * 2 / inside.shape[1]


def _exact(game: Game, progress: Progress | None) -> PlayerValues:
    n, device = game.n_players, game.activation.device
    inside = members(torch.arange(2**n, device="cpu"), n).to(device)
    worth = game.value(inside)
    if progress is not None:
        progress(2**n, nan)
    values = _differences(worth, inside.expand(len(worth), -1, -1))
    return PlayerValues(values, None, torch.full_like(game.target, 2**n))


def _warn_of_tolerance(reached: Float[Tensor, " b"], active: Int[Tensor, " a"], tolerance: float) -> None:
    """Warn of images that did not reach the tolerance."""
    if len(active):
        warn(
            ToleranceWarning,
            f"the standard error of Banzhaf values is up to {percent(float(reached[active].max()), 2)} of the values "
            f"(image {', '.join(map(str, active.tolist()))} of the batch), where {percent(tolerance, 2)} was asked; "
            "allow more evaluations, a larger tolerance, or group cells with players=",
        )
