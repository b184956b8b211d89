"""Sampling: each player's mean marginal contribution over random orders, with a standard error.

Sources: Castro, Gómez & Tejada 2009; an order with its reverse is exact for games of pairs (antithetic sampling:
Mitchell et al. 2022, arXiv:2104.12199). One sample here is four orders: a random one, the same with its halves
exchanged, and both reversed, so that each player comes early, late and twice in between. At equal numbers of orders its
error is a third to two thirds of that of pairs (bench/results/shapley.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import repeat

import torch
from jaxtyping import Float, Int
from torch import Tensor

from shapleycam.errors import OptionError, ToleranceWarning, warn
from shapleycam.game import Game
from shapleycam.images import Seed
from shapleycam.precision import accurate
from shapleycam.values.progress import Progress
from shapleycam.values.shares import ShapleyValues
from shapleycam.values.tolerance import check_tolerance
from shapleycam.wording import percent

FEWEST, MOST = 8, 2048
"""Samples of four orders at least (16 pairs of an order and its reverse), and at most."""


def permutation(
    game: Game,
    orders: int | None = None,
    tolerance: float = 0.01,
    seed: Seed = 0,
    *,
    most_orders: int = 4 * MOST,
    progress: Progress | None = None,
) -> ShapleyValues:
    """Sample Shapley values (b, n) with standard errors; they sum to v(N) for any number of orders.

    Args:
        game: the images' games; what one gets does not depend on its batch mates.
        orders: how many, made a multiple of four; None samples until ‖stderr‖ / ‖values‖ is at most `tolerance`.
        tolerance: 0.01 is 1%.
        seed: with the image's content, what the orders are drawn from.
        most_orders: where sampling to a tolerance ends in any case, with a warning of what was reached.
        progress: called after each round with the orders so far and the largest ‖stderr‖ / ‖values‖.

    Returns:
        The values and their standard errors, both (b, n), in units of the utility, in float64.

    Raises:
        OptionError: no orders, or a tolerance that is not positive.

    Examples:
        >>> import torch
        >>> from shapleycam import Explainer
        >>> from shapleycam.values import permutation
        >>> _ = torch.manual_seed(0)
        >>> pool = torch.nn.AdaptiveAvgPool2d(1)
        >>> model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 4, stride=4), pool, torch.nn.Flatten())
        >>> game = Explainer(model, layer="0", device="cpu").game(torch.rand(1, 3, 8, 8))
        >>> shares = permutation(game, orders=32)
        >>> shares.values.shape, shares.stderr.shape, shares.samples
        (torch.Size([1, 4]), torch.Size([1, 4]), tensor([8]))
    """
    if orders is not None and orders < 1:
        raise OptionError(f"orders is {orders}; expected 1 or more")
    if most_orders < 1:
        raise OptionError(f"most_orders is {most_orders}; expected 1 or more")
    check_tolerance(tolerance)
    generators = [torch.Generator().manual_seed(image_seed) for image_seed in game.seeds(seed)]
    sums = _Sums.none(game)
    active = torch.arange(len(generators), device="cpu")
    for count in _rounds(orders, most_orders):
        drawn = torch.stack([_samples(count, game.n_players, generators[image]) for image in active.tolist()])
        sums.add(_marginals(game, drawn, active), active)
        reached = sums.shares(game).uncertainty.cpu()
        if progress is not None:
            progress(4 * int(sums.count.max()), float(reached.max()))
        active = active[~(reached[active] <= tolerance)] if orders is None else active
        if not len(active):
            break
    if orders is None and len(active):
        _warn_of_tolerance(active, float(reached.max()), tolerance, most_orders)
    return sums.shares(game)


def marginal_contributions(
    game: Game, seed: Seed = 0, samples: Iterable[int] = repeat(FEWEST)
) -> Iterator[Float[Tensor, "b samples n"]]:
    """Yield the players' marginal contributions in further random orders, for whoever watches them come.

    One sample is the mean over four orders. The mean over all samples so far estimates the values: see
    `shares_of_samples`. Whoever stops, and goes on with the same iterator later, loses nothing.

    Args:
        game: the images' games.
        seed: with the image's content, what the orders are drawn from.
        samples: how many are drawn each time; it has an end only if they have.

    Examples:
        >>> import torch
        >>> from itertools import islice
        >>> from shapleycam import Explainer
        >>> from shapleycam.values._permutation import marginal_contributions, shares_of_samples
        >>> _ = torch.manual_seed(0)
        >>> pool = torch.nn.AdaptiveAvgPool2d(1)
        >>> model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 4, stride=4), pool, torch.nn.Flatten())
        >>> game = Explainer(model, layer="0", device="cpu").game(torch.rand(1, 3, 8, 8))
        >>> first, second = islice(marginal_contributions(game), 2)
        >>> shares = shares_of_samples(game, torch.cat([first, second], 1))
        >>> first.shape, shares.values.shape, shares.samples
        (torch.Size([1, 8, 4]), torch.Size([1, 4]), tensor([16]))
    """
    generators = [torch.Generator().manual_seed(image_seed) for image_seed in game.seeds(seed)]
    everyone = torch.arange(len(generators), device="cpu")
    for count in samples:
        drawn = torch.stack([_samples(count, game.n_players, generator) for generator in generators])
        yield _marginals(game, drawn, everyone)


def shares_of_samples(game: Game, samples: Float[Tensor, "b samples n"]) -> ShapleyValues:
    """Return the values and standard errors that samples of `marginal_contributions` amount to."""
    sums = _Sums.none(game)
    sums.add(samples, torch.arange(len(samples), device="cpu"))
    return sums.shares(game)


def _rounds(orders: int | None, most: int) -> Iterator[int]:
    """Yield how many samples to draw each time: after the first round a quarter more, an even number."""
    last = -(-(most if orders is None else orders) // 4)
    done = 0
    while done < last:
        step = min(max(2, done // 8 * 2) if done else FEWEST, last - done)
        yield step
        done += step


def _samples(count: int, n: int, generator: torch.Generator) -> Int[Tensor, "samples four n"]:
    """Return the place of each player in the four orders of each sample."""
    places = torch.rand(count, n, generator=generator, device="cpu").argsort(1).argsort(1)
    exchanged = (places + n - n // 2) % n
    return torch.stack([places, exchanged, n - 1 - places, n - 1 - exchanged], 1)


def _marginals(
    game: Game, places: Int[Tensor, "a samples four n"], images: Int[Tensor, " a"]
) -> Float[Tensor, "a samples n"]:
    """Return each player's marginal contribution, the mean over the orders of a sample."""
    worth = _prefix_worth(game, places.flatten(1, 2), images)
    gained: Tensor = worth.diff(dim=2).unflatten(1, places.shape[1:3])
    return gained.gather(3, places.to(gained.device)).mean(2)


def _warn_of_tolerance(images: Int[Tensor, " a"], reached: float, tolerance: float, most: int) -> None:
    which = ", ".join(map(str, images.tolist()))
    warn(
        ToleranceWarning,
        f"after {most} orders the standard error is up to {percent(reached, 2)} of the values (image {which} of the "
        f"batch), where {percent(tolerance, 2)} was asked; allow more orders, a larger tolerance, or group cells "
        "with players=",
    )


def _prefix_worth(
    game: Game, places: Int[Tensor, "a orders n"], images: Int[Tensor, " a"]
) -> Float[Tensor, "a orders m"]:
    """Return the worth of the first 0, 1, … n players of each order; those of 0 and n need no evaluation."""
    n, precise = game.n_players, accurate(game.activation.device)
    worth = torch.zeros(*places.shape[:2], n + 1, dtype=precise, device=game.activation.device)
    worth[..., n] = game.grand[images.to(worth.device), None].to(precise)
    if n > 1:
        inside = places[:, :, None] < torch.arange(1, n, device="cpu")[:, None]
        worth[..., 1:n] = game.value(inside.flatten(1, 2), images).unflatten(1, inside.shape[1:3]).to(precise)
    return worth


@dataclass
class _Sums:
    """Running means and squared deviations (Welford; Chan et al. 1983 for many at a time)."""

    count: Int[Tensor, " b"]
    mean: Float[Tensor, "b n"]
    squares: Float[Tensor, "b n"]

    @classmethod
    def none(cls, game: Game) -> _Sums:
        device = game.activation.device
        zeros = torch.zeros(len(game.activation), game.n_players, dtype=accurate(device), device=device)
        return cls(torch.zeros(len(zeros), dtype=torch.long, device=device), zeros, zeros.clone())

    def add(self, samples: Float[Tensor, "a samples n"], images: Int[Tensor, " a"]) -> None:
        images = images.to(self.mean.device)
        before, new = self.count[images, None], samples.shape[1]
        mean = samples.mean(1)
        change = mean - self.mean[images]
        self.squares[images] += (samples - mean[:, None]).square().sum(1) + change**2 * before * new / (before + new)
        self.mean[images] += change * new / (before + new)
        self.count[images] += new

    def shares(self, game: Game) -> ShapleyValues:
        """Return the estimates; of a single sample the standard error is not known (NaN)."""
        variance = self.squares / (self.count * (self.count - 1))[:, None]
        spent = 4 * self.count * (game.n_players - 1)
        return ShapleyValues(self.mean.clone(), variance.sqrt(), spent, samples=self.count.clone())
