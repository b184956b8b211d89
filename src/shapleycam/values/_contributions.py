"""Marginal contributions of the players in random orders, corrected by a control variate, and their mean."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import repeat

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from shapleycam.game import Game
from shapleycam.images import Seed, further_seed
from shapleycam.precision import accurate
from shapleycam.values._attention_control import attention_control
from shapleycam.values._control_variate import ControlVariate
from shapleycam.values._orders import OrderStreams, of_players, prefixes
from shapleycam.values._stream_sums import StreamSums
from shapleycam.values._window_control import window_control
from shapleycam.values.shares import ShapleyValues

FEWEST = 8
"""Minimum number of samples of four orders: 16 pairs of an order and its reverse."""


def marginal_contributions(
    game: Game, seed: Seed = 0, samples: Iterable[int] = repeat(FEWEST)
) -> Iterator[Float[Tensor, "b samples n"]]:
    """Yield the players' marginal contributions in more and more random orders, so that the caller can show progress.

    One sample is the mean over four orders. The mean over all samples so far estimates the values: see
    `shares_of_samples`. The caller may pause, and continue with the same iterator later.

    Args:
        game: the images' games.
        seed: the orders are drawn from this seed and the image's content.
        samples: the number of samples of each step; the iteration ends with this iterable.

    Examples:
        >>> import torch
        >>> from itertools import islice
        >>> from shapleycam import Explainer
        >>> from shapleycam.values._contributions import marginal_contributions, shares_of_samples
        >>> _ = torch.manual_seed(0)
        >>> pool = torch.nn.AdaptiveAvgPool2d(1)
        >>> model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 4, stride=4), pool, torch.nn.Flatten())
        >>> game = Explainer(model, layer="0", device="cpu").game(torch.rand(1, 3, 8, 8))
        >>> first, second = islice(marginal_contributions(game), 2)
        >>> shares = shares_of_samples(game, torch.cat([first, second], 1))
        >>> first.shape, shares.values.shape, shares.samples
        (torch.Size([1, 8, 4]), torch.Size([1, 4]), tensor([8]))
    """
    streams = order_streams(game, seed)
    all_images = torch.arange(len(streams), device="cpu")
    control = control_variate(game, 4 * FEWEST * (game.n_players - 1), seed, all_images)
    for count in samples:
        drawn = torch.stack([orders.draw(count) for orders in streams])
        gained, errors = marginals(game, control, drawn, all_images)
        yield gained.mean(2) - errors


def shares_of_samples(game: Game, samples: Float[Tensor, "b samples n"]) -> ShapleyValues:
    """Return the estimates and standard errors from the first samples of `marginal_contributions`."""
    sums = StreamSums.none(game)
    sums.add(samples, torch.zeros_like(samples), torch.arange(len(samples), device="cpu"), 4)
    return sums.shares(game)


def order_streams(game: Game, seed: Seed) -> list[OrderStreams]:
    """Return the random orders of each image."""
    generators = [torch.Generator().manual_seed(image_seed) for image_seed in game.seeds(seed)]
    has_prefix = game.layout.prefix > 0
    return [OrderStreams(game.n_players, generator, has_prefix=has_prefix) for generator in generators]


def control_variate(game: Game, coalitions: int, seed: Seed, images: Int[Tensor, " a"]) -> ControlVariate | None:
    """Return the control variate of some images; None if there is none, or it does not pay for so few coalitions."""
    windows = window_control(game, coalitions, images)
    if windows is not None:
        return windows
    generators = [torch.Generator().manual_seed(further_seed(image_seed)) for image_seed in game.seeds(seed)]
    return attention_control(game, coalitions, generators, images)


def marginals(
    game: Game, control: ControlVariate | None, places: Int[Tensor, "a samples k n"], images: Int[Tensor, " a"]
) -> tuple[Float[Tensor, "a samples k n"], Float[Tensor, "a samples n"]]:
    """Return each player's marginal contribution in each order, and the control's mean error in each sample.

    Without a control variate the error is zero.
    """
    inside = prefixes(places.flatten(1, 2)).to(game.activation.device)
    gained = of_players(_prefix_worth(game, inside, images), places)
    if control is None:
        return gained, torch.zeros_like(gained[:, :, 0])
    return gained, control.errors(places, images)


def _prefix_worth(
    game: Game, inside: Bool[Tensor, "a orders m n"], images: Int[Tensor, " a"]
) -> Float[Tensor, "a orders m"]:
    """Return the values of the first 0, 1, … n players of each order; those for 0 and n need no evaluation."""
    n = game.n_players
    worth = torch.zeros(inside.shape[:3], dtype=accurate(inside.device), device=inside.device)
    worth[..., n] = game.grand[images.to(inside.device), None].to(worth)
    if n > 1:
        between = inside[:, :, 1:n]
        worth[..., 1:n] = game.value(between.flatten(1, 2), images).unflatten(1, between.shape[1:3]).to(worth)
    return worth
