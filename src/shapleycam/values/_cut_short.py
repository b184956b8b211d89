"""Choosing, image by image, whether orders are cut short, and putting the results together."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from shapleycam.game import Game
from shapleycam.values._front import Pilot, front_sampler
from shapleycam.values._orders import OrderStreams
from shapleycam.values._stream_sums import StreamSums
from shapleycam.values.shares import ShapleyValues

_FEWEST = 8
"""Samples from which on their variance is worth looking at."""


def cut_short(
    game: Game, streams: list[OrderStreams], sums: StreamSums, back: Float[Tensor, " b"], limits: tuple[float, int]
) -> dict[int, ShapleyValues]:
    """Return the values of images that orders cut short are cheaper for, as the first samples and a trial say.

    What it takes to find out is counted, also where it is of no use.
    """
    tolerance, most_orders = limits
    shares, cut = sums.shares(game), {}
    for image in range(len(streams)):
        uncertainty, samples = float(shares.uncertainty[image]), int(sums.count[image].sum())
        if not uncertainty > tolerance or samples < _FEWEST:
            continue
        whole = float(shares.stderr[image].square().sum()) * samples if shares.stderr is not None else 0.0
        spent = int(shares.evaluations[image])
        pilot = Pilot(float(back[image]), whole, spent * (uncertainty / tolerance) ** 2)
        sampler = front_sampler(game, image, streams[image].generator, pilot)
        if sampler is None:
            continue
        if sampler.is_cheaper(pilot):
            cut[image] = sampler.to_tolerance(tolerance, most_orders * (game.n_players - 1))
        else:
            sums.trials[image] = sampler.spent
    return cut


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
