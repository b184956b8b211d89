"""Sampling: each player's mean marginal contribution over random orders, with a standard error.

Sources: Castro, Gómez & Tejada 2009; an order with its reverse is exact for games of pairs (antithetic sampling:
Mitchell et al. 2022, arXiv:2104.12199). One sample here is four orders, so that each player comes early, late and twice
in between: at equal numbers of orders its error is a third to two thirds of that of pairs (bench/results/shapley.md).
How orders are drawn is in `_orders`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import repeat

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from shapleycam.errors import OptionError, ToleranceWarning, warn
from shapleycam.game import Game
from shapleycam.images import Seed
from shapleycam.precision import accurate
from shapleycam.values._control_variate import ControlVariate, control_variate
from shapleycam.values._orders import STREAMS, OrderStreams
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
    streams = _order_streams(game, seed)
    sums = _Sums.none(game)
    control: ControlVariate | None = None
    active = torch.arange(len(streams), device="cpu")
    for number, count in enumerate(_rounds(orders, most_orders)):
        if number == 0:
            control = _control(game, count)
            sums.known = sums.known if control is None else control.shapley
        drawn = torch.stack([streams[image].draw(count) for image in active.tolist()])
        sums.add(*_marginals(game, control, drawn, active), active)
        reached = sums.shares(game).uncertainty.cpu()
        if progress is not None:
            progress(4 * int(sums.count.sum(1).max()), float(reached.max()))
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
    streams = _order_streams(game, seed)
    everyone = torch.arange(len(streams), device="cpu")
    control = _control(game, FEWEST)
    for count in samples:
        drawn = torch.stack([orders.draw(count) for orders in streams])
        yield _marginals(game, control, drawn, everyone)[0]


def shares_of_samples(game: Game, samples: Float[Tensor, "b samples n"]) -> ShapleyValues:
    """Return the values and standard errors that the first samples of `marginal_contributions` amount to."""
    sums = _Sums.none(game)
    sums.add(samples, torch.zeros_like(samples), torch.arange(len(samples), device="cpu"))
    return sums.shares(game)


def error_of_samples(samples: Float[Tensor, "samples ..."]) -> Float[Tensor, "..."]:
    """Return the standard error of the mean of the first samples, or of a function of each, from their streams."""
    flat = samples.flatten(1)[None] if samples.dim() > 1 else samples[None, :, None]
    sums = _Sums.of(1, flat.shape[2], flat)
    sums.add(flat, torch.zeros_like(flat), torch.zeros(1, dtype=torch.long, device="cpu"))
    return sums.stderr.reshape(samples.shape[1:])


def _rounds(orders: int | None, most: int) -> Iterator[int]:
    """Yield how many samples to draw each time: after the first round a quarter more, an even number."""
    last = -(-(most if orders is None else orders) // 4)
    done = 0
    while done < last:
        step = min(max(2, done // 8 * 2) if done else FEWEST, last - done)
        yield step
        done += step


def _order_streams(game: Game, seed: Seed) -> list[OrderStreams]:
    """Return the random orders of each image."""
    generators = [torch.Generator().manual_seed(image_seed) for image_seed in game.seeds(seed)]
    has_prefix = game.layout.prefix > 0
    return [OrderStreams(game.n_players, generator, has_prefix=has_prefix) for generator in generators]


def _control(game: Game, samples: int) -> ControlVariate | None:
    """Return the control variate that the first samples are worth; their number alone decides."""
    return control_variate(game, 4 * samples * (game.n_players - 1))


def _marginals(
    game: Game, control: ControlVariate | None, places: Int[Tensor, "a samples four n"], images: Int[Tensor, " a"]
) -> tuple[Float[Tensor, "a samples n"], Float[Tensor, "a samples n"]]:
    """Return each player's marginal contribution, the mean over the orders of a sample, and the control's error there.

    The error is how far the player's contribution in the control variate is from its known value; zero without one. It
    is subtracted from the contributions.
    """
    inside = places.flatten(1, 2)[:, :, None] < torch.arange(game.n_players + 1, device="cpu")[:, None]
    inside = inside.to(game.activation.device)
    worth = _prefix_worth(game, inside, images)
    marginals = _of_players(worth, places)
    if control is None:
        return marginals, torch.zeros_like(marginals)
    known = control.value(inside.flatten(1, 2), images).unflatten(1, inside.shape[1:3])
    errors = _of_players(known, places) - control.shapley[images.to(known.device), None]
    return marginals - errors, errors


def _of_players(
    worth: Float[Tensor, "a orders m"], places: Int[Tensor, "a samples four n"]
) -> Float[Tensor, "a samples n"]:
    """Return by player what it adds to those before it, the mean over the orders of a sample."""
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
    game: Game, inside: Bool[Tensor, "a orders m n"], images: Int[Tensor, " a"]
) -> Float[Tensor, "a orders m"]:
    """Return the worth of the first 0, 1, … n players of each order; those of 0 and n need no evaluation."""
    n = game.n_players
    worth = torch.zeros(inside.shape[:3], dtype=accurate(inside.device), device=inside.device)
    worth[..., n] = game.grand[images.to(inside.device), None].to(worth)
    if n > 1:
        between = inside[:, :, 1:n]
        worth[..., 1:n] = game.value(between.flatten(1, 2), images).unflatten(1, between.shape[1:3]).to(worth)
    return worth


@dataclass
class _Sums:
    """The samples so far: how many there are in each stream, and their sums.

    `error` are the sums of the control variate's errors; `square` of the squares of these over all players, and `cross`
    of their products with what samples differ from the control's `known` values.
    """

    count: Int[Tensor, "b streams"]
    total: Float[Tensor, "b streams n"]
    error: Float[Tensor, "b streams n"]
    square: Float[Tensor, "b streams"]
    cross: Float[Tensor, "b streams"]
    known: Float[Tensor, "b n"]

    @classmethod
    def none(cls, game: Game) -> _Sums:
        device = game.activation.device
        like = torch.zeros((), dtype=accurate(device), device=device)
        return cls.of(len(game.activation), game.n_players, like)

    @classmethod
    def of(cls, images: int, n: int, like: Tensor) -> _Sums:
        total, square = like.new_zeros(images, STREAMS, n), like.new_zeros(images, STREAMS)
        count, known = torch.zeros_like(square, dtype=torch.long), like.new_zeros(images, n)
        return cls(count, total, total.clone(), square, square.clone(), known)

    def add(self, samples: Float[Tensor, "a m n"], errors: Float[Tensor, "a m n"], images: Int[Tensor, " a"]) -> None:
        images = images.to(self.total.device)
        first = int(self.count[images[0]].sum())  # images that go on have had as many samples
        for index, (sample, error) in enumerate(zip(samples.unbind(1), errors.unbind(1), strict=True)):
            stream = (first + index) % STREAMS
            self.count[images, stream] += 1
            self.total[images, stream] += sample
            self.error[images, stream] += error
            self.square[images, stream] += error.square().sum(1)
            self.cross[images, stream] += ((sample - self.known[images]) * error).sum(1)

    @property
    def corrected(self) -> Float[Tensor, "b streams n"]:
        """Return the sums less the control's errors times what these still explain of the samples in other streams.

        So the factor does not depend on what it is applied to, and the mean stays unbiased.
        """
        square = self.square.sum(1, keepdim=True) - self.square
        cross = self.cross.sum(1, keepdim=True) - self.cross
        factor = torch.where(square > 0, cross / square, 0.0)
        return self.total - factor[..., None] * self.error

    @property
    def mean(self) -> Float[Tensor, "b n"]:
        return self.corrected.sum(1) / self.count.sum(1)[:, None]

    @property
    def stderr(self) -> Float[Tensor, "b n"]:
        """Return the standard error of the mean, from how the streams differ; NaN of a single sample.

        Were samples independent, its square would be unbiased for streams of any lengths.
        """
        share = self.count.to(self.total.dtype)[..., None] / self.count.sum(1)[:, None, None]
        deviation = self.corrected / self.count.clamp(min=1)[..., None] - self.mean[:, None]
        variance = (share * deviation).square().sum(1) / (1 - share.square().sum(1))
        return variance.sqrt()

    def shares(self, game: Game) -> ShapleyValues:
        """Return the estimates."""
        spent = 4 * self.count.sum(1) * (game.n_players - 1)
        return ShapleyValues(self.mean, self.stderr, spent, samples=(self.count > 0).sum(1))
