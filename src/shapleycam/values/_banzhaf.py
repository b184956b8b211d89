"""Banzhaf values: a player's mean marginal contribution over all coalitions of the others, each as likely as any other.

Source: Banzhaf, Weighted voting doesn't work, 1965. They are the coefficients of the additive game nearest to v (Hammer
& Holzman 1992), and E[v(S) | j in S] - E[v(S) | j not in S], so that a coalition counts for every player, not for one
(maximum sample reuse: Wang & Jia 2023, arXiv:2205.15466).

Independent coalitions would leave in each value the noise of all other players' values. So coalitions are drawn in
blocks in which each two players are together as often as apart: the signs of a Hadamard matrix, with players on random
columns and random signs of the columns, each row with its complement. A block is unbiased, since each of its coalitions
is uniform, and free of error for games of pairs; what remains is from interactions of three, five, … players.
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
"""Players of whom all coalitions are evaluated: 4,096, fewer than sampling takes."""
FEWEST = 8
"""Blocks at least, so that their spread says something."""
MOST_EVALUATIONS = 2**18


def banzhaf(
    game: Game,
    tolerance: float = 0.01,
    seed: Seed = 0,
    *,
    most_evaluations: int = MOST_EVALUATIONS,
    progress: Progress | None = None,
) -> PlayerValues:
    """Compute β_j = Σ_S (v(S ∪ j) - v(S)) / 2^(n - 1) over all S without j: exact to 12 players, sampled beyond.

    They do not sum to v(N).

    Args:
        game: of b images with n players; what one gets does not depend on its batch mates.
        tolerance: ‖standard error‖ / ‖values‖ to which more than 12 players are sampled; 0.01 is 1%.
        seed: with the image's content, what coalitions are drawn from.
        most_evaluations: where sampling ends in any case, but not before eight blocks, with a warning of what was
            reached.
        progress: called after each round with the coalitions so far of an image and the largest
            ‖standard error‖ / ‖values‖; what it raises ends the work.

    Returns:
        The values (b, n), in units of the utility, in float64, and their standard errors, None of exact ones.

    Raises:
        OptionError: a tolerance or number of evaluations that is not positive.

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
    """Return how many coalitions of n players a block has: twice the smallest power of two above n.

    Examples:
        >>> block_size(49), block_size(63), block_size(64)
        (128, 128, 256)
    """
    return 2 << n.bit_length()


def draw_block(n: int, generator: torch.Generator) -> Bool[Tensor, "s n"]:
    """Return coalitions of n players, each two of whom are together as often as apart; complements come last."""
    rows = block_size(n) // 2
    columns = torch.randperm(rows - 1, generator=generator, device="cpu")[:n] + 1  # the first has one sign alone
    flipped = torch.rand(n, generator=generator, dtype=torch.float32, device="cpu") < 0.5
    shared = columns & torch.arange(rows, device="cpu")[:, None]
    is_odd = torch.zeros_like(shared, dtype=torch.bool)  # Sylvester's matrix: the parity of the bits in common
    for bit in range(n.bit_length()):
        is_odd ^= (shared >> bit) % 2 == 1
    inside = is_odd ^ flipped
    return torch.cat([inside, ~inside])


class _Blocks:
    """The estimates of each image's blocks so far, as sums."""

    def __init__(self, game: Game, seed: Seed) -> None:
        self._game = game
        self._generators = [torch.Generator().manual_seed(image_seed) for image_seed in game.seeds(seed)]
        self.size = block_size(game.n_players)
        device = game.activation.device
        zeros = torch.zeros(len(game.activation), game.n_players, dtype=accurate(device), device=device)
        self._mean, self._squares = zeros, zeros.clone()  # of the deviations from the mean
        self._count = torch.zeros_like(game.target)

    def draw(self, count: int, images: Int[Tensor, " a"]) -> None:
        """Evaluate so many further blocks of some images."""
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
    """Return for each player the mean worth with it less that without it; half of the coalitions have it."""
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
    """Warn of images whose standard error is larger than was asked."""
    if len(active):
        warn(
            ToleranceWarning,
            f"the standard error of Banzhaf values is up to {percent(float(reached[active].max()), 2)} of the values "
            f"(image {', '.join(map(str, active.tolist()))} of the batch), where {percent(tolerance, 2)} was asked; "
            "allow more evaluations, a larger tolerance, or group cells with players=",
        )
