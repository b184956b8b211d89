"""Choosing, image by image, whether orders are cut short, and putting the results together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from shapleycam.game import Game
from shapleycam.values._front import CUT, FEWEST, TRIAL, FrontSampler
from shapleycam.values._orders import OrderStreams
from shapleycam.values._stream_sums import StreamSums
from shapleycam.values.shares import ShapleyValues

_SAMPLES = 8
"""Samples from which on their variance is worth looking at."""
_BACK = 0.5
"""Share of the variance behind the cut from which on a trial of cyclic orders is not worth it."""
_GAIN = 1.5
"""How much cheaper cut orders have to be in the trial to be taken."""
_WORTH = 3
"""How many times more evaluations whole orders have to need than orders cut short take at least."""


@dataclass(frozen=True)
class Pilot:
    """What the first samples of four orders say of an image.

    Attributes:
        back: the variance, summed over the players, of what a sample gains behind the cut.
        whole: that of a whole sample.
        needed: about how many evaluations whole orders would take to the tolerance.
    """

    back: float
    whole: float
    needed: float


def front_sampler(game: Game, image: int, generator: torch.Generator, pilot: Pilot) -> FrontSampler | None:
    """Return a sampler by orders cut short, where so many evaluations are needed that a trial may pay; or None."""
    n = game.n_players
    least = (TRIAL + FEWEST) * n * CUT + FEWEST * 4 * n
    is_worth_it = n >= 2 * CUT + 2 and pilot.back <= _BACK * pilot.whole and pilot.needed > _WORTH * least
    return FrontSampler(game, image, generator) if is_worth_it else None


def behind_the_cut(
    gained: Float[Tensor, "a samples four n"], places: Int[Tensor, "a samples four n"]
) -> Float[Tensor, " a"]:
    """Return the variance, summed over players, of what samples gain behind the cut."""
    back = torch.where(places.to(gained.device) > CUT, gained, 0).mean(2)
    return (back - back.mean(2, keepdim=True)).var(1, correction=min(1, back.shape[1] - 1)).sum(1)


def cut_short(
    game: Game, streams: list[OrderStreams], sums: StreamSums, back: Mapping[int, float], limits: tuple[float, int]
) -> dict[int, ShapleyValues]:
    """Return the values of images that orders cut short are cheaper for, as the first samples and a trial say.

    `back` has of each image that is sampled the variance of what its samples gain behind the cut. What it takes to find
    out is counted, also where it is of no use.
    """
    tolerance, most_orders = limits
    shares, cut = sums.shares(game), {}
    for image, variance in back.items():
        uncertainty, samples = float(shares.uncertainty[image]), int(sums.samples[image])
        if not uncertainty > tolerance or samples < _SAMPLES:
            continue
        whole = float(shares.stderr[image].square().sum()) * samples if shares.stderr is not None else 0.0
        spent = int(shares.evaluations[image])
        pilot = Pilot(variance, whole, spent * (uncertainty / tolerance) ** 2)
        sampler = front_sampler(game, image, streams[image].generator, pilot)
        if sampler is None:
            continue
        if _is_cheaper(sampler, pilot, game.n_players):
            cut[image] = sampler.to_tolerance(tolerance, most_orders * (game.n_players - 1))
        else:
            sums.trials[image] = sampler.spent
    return cut


def _is_cheaper(sampler: FrontSampler, pilot: Pilot, n: int) -> bool:
    """Return whether a trial says that orders cut short are cheaper than whole ones."""
    front, back = sampler.costs
    cut = ((sampler.trial() * front) ** 0.5 + (pilot.back * back) ** 0.5) ** 2
    return bool(_GAIN * cut < pilot.whole * 4 * (n - 1))


def with_cut(shares: ShapleyValues, cut: dict[int, ShapleyValues], notes: tuple[tuple[str, ...], ...]) -> ShapleyValues:
    """Return the values with those of some images from orders cut short; the first samples of these are counted."""
    values, stderr, samples = shares.values, shares.stderr, shares.samples
    evaluations = shares.evaluations
    if stderr is None or samples is None:
        raise TypeError("sampled values have standard errors")
    for image, of_image in cut.items():
        if of_image.stderr is not None and of_image.samples is not None:
            values[image], stderr[image] = of_image.values[0], of_image.stderr[0]
            samples[image], evaluations[image] = of_image.samples[0], evaluations[image] + of_image.evaluations[0]
    return ShapleyValues(values, stderr, evaluations, samples=samples, notes=notes)
