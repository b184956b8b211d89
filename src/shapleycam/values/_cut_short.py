"""Decide for each image whether to cut orders short, and combine the results."""

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
"""Minimum number of samples to estimate their variance."""
_BACK = 0.5
"""Maximum share of the variance behind the cut for which cyclic orders are tried."""
_GAIN = 1.5
"""Cut orders are used if they are cheaper by this factor in the trial."""
_MIN_RATIO = 3
"""Cut orders are tried if whole orders would take at least this many times the minimum cost of cut orders."""


@dataclass(frozen=True)
class Pilot:
    """Estimates for an image from its first samples of four orders.

    Attributes:
        back: the variance, summed over the players, of the contributions behind the cut in one sample.
        whole: the variance, summed over the players, of all contributions in one sample.
        needed: about how many evaluations whole orders would need to reach the tolerance.
    """

    back: float
    whole: float
    needed: float


def front_sampler(game: Game, image: int, generator: torch.Generator, pilot: Pilot) -> FrontSampler | None:
    """Return a sampler with orders cut short if a trial of it may pay, otherwise None."""
    n = game.n_players
    least = (TRIAL + FEWEST) * n * CUT + FEWEST * 4 * n
    may_pay = n >= 2 * CUT + 2 and pilot.back <= _BACK * pilot.whole and pilot.needed > _MIN_RATIO * least
    return FrontSampler(game, image, generator) if may_pay else None


def behind_the_cut(
    gained: Float[Tensor, "a samples four n"], places: Int[Tensor, "a samples four n"]
) -> Float[Tensor, " a"]:
    """Return the variance, summed over the players, of the contributions behind the cut in one sample."""
    back = torch.where(places.to(gained.device) > CUT, gained, 0).mean(2)
    return (back - back.mean(2, keepdim=True)).var(1, correction=min(1, back.shape[1] - 1)).sum(1)


def cut_short(
    game: Game, streams: list[OrderStreams], sums: StreamSums, back: Mapping[int, float], limits: tuple[float, int]
) -> dict[int, ShapleyValues]:
    """Return the values of the images for which orders cut short are cheaper, judged by the first samples and a trial.

    `back` maps each sampled image to the variance of its contributions behind the cut. The evaluations of a trial are
    counted even if its image is not in the result.
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
    """Return whether orders cut short are cheaper than whole orders, according to a trial."""
    front, back = sampler.costs
    cut = ((sampler.trial() * front) ** 0.5 + (pilot.back * back) ** 0.5) ** 2
    return bool(_GAIN * cut < pilot.whole * 4 * (n - 1))


def with_cut(shares: ShapleyValues, cut: dict[int, ShapleyValues], notes: tuple[tuple[str, ...], ...]) -> ShapleyValues:
    """Return the values, with those in `cut` for the images that have them; their first samples are counted too."""
    values, stderr, samples = shares.values, shares.stderr, shares.samples
    evaluations = shares.evaluations
    if stderr is None or samples is None:
        raise TypeError("sampled values have standard errors")
    for image, of_image in cut.items():
        if of_image.stderr is not None and of_image.samples is not None:
            values[image], stderr[image] = of_image.values[0], of_image.stderr[0]
            samples[image], evaluations[image] = of_image.samples[0], evaluations[image] + of_image.evaluations[0]
    return ShapleyValues(values, stderr, evaluations, samples=samples, notes=notes)
