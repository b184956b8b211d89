"""A control variate for heads without a shortcut: an additive surrogate game that is fitted to the samples themselves.

At a layer that is several layers before the output, the utility often changes from the empty to the full value within a
few sizes of coalitions. A player contributes at these sizes, and hardly at others. So the surrogate of an image's game
is

    c(S) = a(|S|) + Σ_{j ∈ S} w_j(|S|),

where a(s) is the mean utility at size s. The weights w_j(s) sum to zero over the players, and are linear between a few
sizes. They are fitted by ridge regression to coalitions that were evaluated anyway, so that they cost no evaluation.
The Shapley values of c are c(N) / n + Σ_{0 < s < n} w_j(s) / (n - 1).

The estimate stays unbiased: for each group of streams, c and its factor β are fitted to the other groups
(cross-fitting: Chernozhukov et al. 2018, doi:10.1111/ectj.12097).
"""

from __future__ import annotations

from itertools import combinations
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from shapleycam.game import Game
from shapleycam.values._orders import STREAMS, of_players
from shapleycam.values._stream_sums import StreamSums
from shapleycam.values._window_control import interpolation

FEWEST_SAMPLES = 16
"""Minimum number of samples of four orders to fit a surrogate."""
LEAST_BYTES = 2**20
"""Minimum bytes of a coalition in the head: for cheaper runs fitting does not pay (about 30 microseconds for each)."""
_NEAR = 2.0
"""Surrogates are fitted if the error is at most this multiple of the tolerance, since they at best halve it."""
FEWEST_PLAYERS = 8
"""Minimum number of players to fit a surrogate."""
_GROUPS = 4
"""Groups of streams for cross-fitting."""
_SIZES = 7
"""Sizes of coalitions between which weights are linear."""
_RIDGE = 2.0
"""Weight of the penalty, in orders."""
_STEPS = 15
"""Steps of conjugate gradients."""


class Samples(NamedTuple):
    """Samples of four orders: the place of each player in them, and its marginal contribution."""

    places: Int[Tensor, "samples four n"]
    gained: Float[Tensor, "samples four n"]

    def of(self, chosen: Tensor) -> Samples:
        """Return the chosen samples."""
        return Samples(self.places[chosen], self.gained[chosen])


class Surrogate(NamedTuple):
    """The game c.

    Attributes:
        means: a(s) for the sizes 1 to n - 1.
        knots: the weights w_j at a few sizes, the knots.
        hats: the interpolation weight of each knot at the sizes 1 to n - 1.
        grand: c(N), which equals v(N).
    """

    means: Float[Tensor, " m"]
    knots: Float[Tensor, "t n"]
    hats: Float[Tensor, "t m"]
    grand: Float[Tensor, ""]

    def errors(self, places: Int[Tensor, "samples four n"]) -> Float[Tensor, "samples n"]:
        """Return each player's mean marginal contribution in c over the orders of a sample, less its Shapley value."""
        samples, orders, n = places.shape
        between = self.means + _sums(self.knots, self.hats, places.flatten(0, 1).argsort(1))
        worth = between.new_zeros(1, samples * orders, n + 1)
        worth[0, :, 1:n], worth[0, :, n] = between, self.grand
        shapley = self.grand / n + (self.hats.sum(1) @ self.knots) / (n - 1)
        return of_players(worth, places[None])[0].mean(1) - shapley


class SurrogateControl:
    """Stores the samples of each image, and corrects them by surrogates that are fitted to the samples.

    It takes 16 bytes for each evaluated coalition.
    """

    note = "only the difference from an additive game was sampled, which is fitted to other samples of the image"

    def __init__(self, images: int, last: int) -> None:
        self._samples: list[list[Samples]] = [[] for _ in range(images)]
        self._last = last

    def add(
        self,
        places: Int[Tensor, "a samples four n"],
        gained: Float[Tensor, "a samples four n"],
        images: Int[Tensor, " a"],
    ) -> None:
        """Add samples of some images."""
        for image, *sample in zip(images.tolist(), places.to(gained.device), gained, strict=True):
            self._samples[image].append(Samples(*sample))

    def correct(self, sums: StreamSums, game: Game, images: Int[Tensor, " a"], tolerance: float | None) -> None:
        """Set the corrections by surrogates in the sums of some images, fitted to all their samples so far.

        This is done after the last sample, and earlier for images that may reach the tolerance with the correction.
        """
        sums.fitted[images.to(sums.fitted.device)] = 0
        count = int(sums.samples[images[0]])
        if count < self._last:
            uncertainty = sums.shares(game).uncertainty.cpu()
            images = images[uncertainty[images] <= _NEAR * (tolerance or 0.0)]
        for image in images.tolist() if count >= FEWEST_SAMPLES else ():
            samples = Samples(*(torch.cat(parts) for parts in zip(*self._samples[image], strict=True)))
            sums.fitted[image] = correction(samples)


def surrogate_control(game: Game, most_samples: int) -> SurrogateControl | None:
    """Return a control that corrects samples by surrogates; None if fitting them takes longer than more samples.

    `most_samples` is the maximum number of samples.
    """
    if most_samples < FEWEST_SAMPLES or game.n_players < FEWEST_PLAYERS or game.shortcut is not None:
        return None
    return SurrogateControl(len(game.activation), most_samples) if game.coalition_bytes >= LEAST_BYTES else None


def correction(samples: Samples) -> Float[Tensor, "streams n"]:
    """Return the corrections by surrogates, which are subtracted from the sums over the orders of each stream."""
    count, orders, n = samples.places.shape
    streams = torch.arange(count, device=samples.gained.device) % STREAMS
    groups = streams * _GROUPS // STREAMS
    taken = samples.gained.new_zeros(STREAMS, n)
    for group, factor in enumerate(_factors(samples, groups)):
        inside = groups == group
        errors = _fit(samples.of(~inside)).errors(samples.places[inside])
        taken.index_add_(0, streams[inside], orders * factor * errors)
    return taken


def _factors(samples: Samples, groups: Int[Tensor, " samples"]) -> Float[Tensor, " groups"]:
    """Return the factor β of each group's surrogate, which is independent of the group.

    It is the best factor for the samples of the other groups, each with a surrogate that is fitted to neither group.
    """
    means = samples.gained.mean(1)
    cross = means.new_zeros(_GROUPS)
    square = torch.zeros_like(cross)
    for pair in combinations(range(_GROUPS), 2):
        surrogate = _fit(samples.of((groups != pair[0]) & (groups != pair[1])))
        for group, other in (pair, pair[::-1]):
            errors = surrogate.errors(samples.places[groups == other])
            cross[group] += (errors * (means[groups == other] - means[groups != group].mean(0))).sum()
            square[group] += errors.square().sum()
    return torch.where(square > 0, cross / square, 0.0)


def _fit(samples: Samples) -> Surrogate:
    """Return the game c that fits the samples best, by ridge regression.

    The equations are solved by conjugate gradients. In an order, each coalition has one member more than the one
    before, so that a sum over its members takes one addition.
    """
    places, gained = samples.places.flatten(0, 1), samples.gained.flatten(0, 1)
    n = places.shape[1]
    order = places.argsort(1)
    worth = gained.gather(1, order).cumsum(1)
    between, grand = worth[:, :-1], worth[0, -1]
    means = between.mean(0)
    sizes = torch.arange(1, n, device=places.device)
    knots_at = torch.linspace(1, n - 1, _SIZES, dtype=torch.float32, device=places.device).round().long().unique()
    hats = interpolation(n, knots_at)[1:n].mT.to(worth)
    # The weight of each knot, as preconditioner and in the ridge: the variance of a player's presence at each size.
    weights = hats.square() @ ((sizes * (n - sizes)).to(worth) / (n * (n - 1)))[:, None]
    knots = hats.new_zeros(len(hats), n)
    left = _by_players(between - means, hats, places)
    direction = left / weights
    remaining = (left * direction).sum()
    for _ in range(_STEPS):
        image = _by_players(_sums(direction, hats, order), hats, places) + _RIDGE * weights * direction
        curvature = (direction * image).sum()
        if not bool(curvature > 0):  # the residual is zero
            break
        step = remaining / curvature
        knots, left = knots + step * direction, left - step * image
        before, remaining = remaining, (left * left / weights).sum()
        direction = left / weights + remaining / before * direction
    return Surrogate(means, knots, hats, grand)


def _sums(
    knots: Float[Tensor, "t n"], hats: Float[Tensor, "t m"], order: Int[Tensor, "orders n"]
) -> Float[Tensor, "orders m"]:
    """Return Σ_{j ∈ S} w_j(|S|) for the first 1 to n - 1 players of each order."""
    sums = hats.new_zeros(len(order), order.shape[1] - 1)
    for weights, hat in zip(knots, hats, strict=True):  # one by one, which takes a seventh of the memory
        sums += weights[order[:, :-1]].cumsum(1) * hat
    return sums


def _by_players(
    left: Float[Tensor, "orders m"], hats: Float[Tensor, "t m"], places: Int[Tensor, "orders n"]
) -> Float[Tensor, "t n"]:
    """Return the transpose of `_sums` applied to residuals by order and size, less its mean over the players."""
    totals = left.new_zeros(len(hats), places.shape[1])
    for total, hat in zip(totals, hats, strict=True):
        later = (left * hat).flip(1).cumsum(1).flip(1)  # over the sizes at which the player of each place is a member
        later = torch.cat([later, later.new_zeros(len(later), 1)], 1)  # the last player is a member at none of them
        total += later.gather(1, places).sum(0)  # noqa: PLW2901  # a row of the totals
    return totals - totals.mean(1, keepdim=True)
