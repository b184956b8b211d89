"""Sampling: each player's mean marginal contribution over random orders, with a standard error.

Sources: Castro, Gómez & Tejada 2009; an order with its reverse is exact for games of pairs (antithetic sampling:
Mitchell et al. 2022, arXiv:2104.12199). One sample here is four orders, so that each player comes early, late and twice
in between: at equal numbers of orders its error is a third to two thirds of that of pairs (bench/results/shapley.md).
How orders are drawn is in `_orders`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import repeat

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from shapleycam.errors import OptionError, ToleranceWarning, warn
from shapleycam.game import Game
from shapleycam.images import Seed
from shapleycam.precision import accurate
from shapleycam.values._control_variate import ControlVariate, control_variate
from shapleycam.values._cut_short import cut_short, with_cut
from shapleycam.values._front import behind_the_cut
from shapleycam.values._orders import OrderStreams
from shapleycam.values._rare import note_rare
from shapleycam.values._stream_sums import StreamSums
from shapleycam.values.progress import Progress
from shapleycam.values.shares import ShapleyValues
from shapleycam.values.tolerance import check_tolerance
from shapleycam.wording import percent

FEWEST, MOST = 8, 2048
"""Samples of four orders at least (16 pairs of an order and its reverse), and at most."""
_CONTROL = "only the difference from a linearised game was sampled, whose values are known in closed form"
_CUT = "most orders were cut short, since the first players decide most"


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
    _check_options(orders, most_orders, tolerance)
    streams = _order_streams(game, seed)
    sums = StreamSums.none(game)
    cut: dict[int, ShapleyValues] = {}
    control: ControlVariate | None = None
    active = torch.arange(len(streams), device="cpu")
    for number, count in enumerate(_rounds(orders, most_orders)):
        if number == 0:
            control = _control(game, count)
            sums.known = sums.known if control is None else control.shapley
        drawn = torch.stack([streams[image].draw(count) for image in active.tolist()])
        gained, errors = _marginals(game, control, drawn, active)
        sums.add(gained.mean(2) - errors, errors, active)
        reached = sums.shares(game).uncertainty.cpu()
        if progress is not None:
            progress(4 * int(sums.count.sum(1).max()), float(reached.max()))
        if orders is not None:
            continue
        if number == 0:
            cut = cut_short(game, streams, sums, behind_the_cut(gained, drawn), (tolerance, most_orders))
        active = _still_open(reached, active, cut, tolerance)
        if not len(active):
            break
    if orders is None:
        _check_reached(reached, tolerance, most_orders)
    return with_cut(sums.shares(game), cut, _notes(game, sums, cut))


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
        (torch.Size([1, 8, 4]), torch.Size([1, 4]), tensor([8]))
    """
    streams = _order_streams(game, seed)
    everyone = torch.arange(len(streams), device="cpu")
    control = _control(game, FEWEST)
    for count in samples:
        drawn = torch.stack([orders.draw(count) for orders in streams])
        gained, errors = _marginals(game, control, drawn, everyone)
        yield gained.mean(2) - errors


def shares_of_samples(game: Game, samples: Float[Tensor, "b samples n"]) -> ShapleyValues:
    """Return the values and standard errors that the first samples of `marginal_contributions` amount to."""
    sums = StreamSums.none(game)
    sums.add(samples, torch.zeros_like(samples), torch.arange(len(samples), device="cpu"))
    return sums.shares(game)


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
) -> tuple[Float[Tensor, "a samples four n"], Float[Tensor, "a samples n"]]:
    """Return each player's marginal contribution in each order, and the control's error, a sample's mean.

    The error is how far the player's contribution in the control variate is from its known value; zero without one.
    """
    inside = places.flatten(1, 2)[:, :, None] < torch.arange(game.n_players + 1, device="cpu")[:, None]
    inside = inside.to(game.activation.device)
    gained = _of_players(_prefix_worth(game, inside, images), places)
    if control is None:
        return gained, torch.zeros_like(gained[:, :, 0])
    known = control.value(inside.flatten(1, 2), images).unflatten(1, inside.shape[1:3])
    return gained, _of_players(known, places).mean(2) - control.shapley[images.to(known.device), None]


def _of_players(
    worth: Float[Tensor, "a orders m"], places: Int[Tensor, "a samples four n"]
) -> Float[Tensor, "a samples four n"]:
    """Return by player what it adds to those before it."""
    gained: Tensor = worth.diff(dim=2).unflatten(1, places.shape[1:3])
    return gained.gather(3, places.to(gained.device))


def _notes(game: Game, sums: StreamSums, cut: dict[int, ShapleyValues]) -> tuple[tuple[str, ...], ...]:
    """Return of each image what the sampling chose to do, and what is to be doubted; nothing where that is nothing."""
    has_all_streams = bool((sums.count > 0).all())
    rare = note_rare(game, sums.deviations, sums.mean) if has_all_streams else {}
    notes: list[tuple[str, ...]] = []
    for image, has_control in enumerate((sums.square > 0).any(1).tolist()):
        sentences = {_CONTROL: has_control, _CUT: image in cut}
        notes.append((*(sentence for sentence, holds in sentences.items() if holds), *rare.get(image, ())))
    return tuple(notes) if any(notes) else ()


def _check_options(orders: int | None, most_orders: int, tolerance: float) -> None:
    """Refuse options that nothing can be sampled with.

    Raises:
        OptionError: no orders, or a tolerance that is not positive.
    """
    if orders is not None and orders < 1:
        raise OptionError(f"orders is {orders}; expected 1 or more")
    if most_orders < 1:
        raise OptionError(f"most_orders is {most_orders}; expected 1 or more")
    check_tolerance(tolerance)


def _still_open(
    reached: Float[Tensor, " b"], active: Int[Tensor, " a"], cut: dict[int, ShapleyValues], tolerance: float
) -> Int[Tensor, " open"]:
    """Return the images that go on; what those reached whose orders were cut short is noted in `reached`."""
    for image, shares in cut.items():
        reached[image] = float(shares.uncertainty)
    goes_on = [image for image in active.tolist() if image not in cut and not float(reached[image]) <= tolerance]
    return torch.tensor(goes_on, dtype=torch.long, device="cpu")


def _check_reached(reached: Float[Tensor, " b"], tolerance: float, most: int) -> None:
    """Warn of images whose standard error is larger than was asked."""
    images = (~(reached <= tolerance)).nonzero().flatten().tolist()
    if images:
        which = ", ".join(map(str, images))
        warn(
            ToleranceWarning,
            f"after {most} orders the standard error is up to {percent(float(reached.max()), 2)} of the values "
            f"(image {which} of the batch), where {percent(tolerance, 2)} was asked; allow more orders, a larger "
            "tolerance, or group cells with players=",
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
