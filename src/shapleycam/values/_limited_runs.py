"""Sampling with a limited number of runs, for heads whose runs are expensive, such as the whole model.

Samples of orders are drawn one by one. No runs are spent on control variates or trials of other orders, which pay off
only over many runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from math import isfinite
from typing import TypeAlias, TypeVar

import torch
from jaxtyping import Int
from torch import Tensor

from shapleycam.errors import OptionError, ToleranceWarning, warn
from shapleycam.game import Game
from shapleycam.images import Seed
from shapleycam.values._contributions import FEWEST, marginals, order_streams
from shapleycam.values._stream_sums import StreamSums
from shapleycam.values._surrogate_control import surrogate_control
from shapleycam.values.progress import Progress
from shapleycam.values.shares import PlayerValues, ShapleyValues
from shapleycam.values.tolerance import check_tolerance
from shapleycam.wording import percent

Draw: TypeAlias = "Callable[[Tensor], tuple[Tensor, Tensor]]"
"""A function from the indices of images (a,) to the places (a, 1, 4, n) of the players in one sample of orders, and the
players' marginal contributions, of the same shape."""
_Values = TypeVar("_Values", bound=PlayerValues)

_FEWEST_SAMPLES = 3
"""Minimum number of samples of four orders for a standard error."""
_AIM = 0.1
"""The relative standard error for which notes say how many runs it takes."""
_ROUNDED = 100


def permutation_within(
    game: Game, runs: int, tolerance: float = 0.01, seed: Seed = 0, *, progress: Progress | None = None
) -> ShapleyValues:
    """Sample Shapley values (b, n) to a tolerance, or until the limit of runs of the head per image.

    Args:
        game: the images' games; an image's values do not depend on the other images of the batch.
        runs: the maximum number of runs of the head for each image.
        tolerance: ‖stderr‖ / ‖values‖ at which sampling ends earlier, but not before eight samples of four orders.
        seed: the orders are drawn from this seed and the image's content.
        progress: a function that is called after each sample with the number of orders so far and the largest
            ‖stderr‖ / ‖values‖.

    Returns:
        The values and their standard errors, both (b, n), in units of the utility, in float64, with a note on each
        image's runs.

    Raises:
        OptionError: too few runs for a standard error, or a tolerance that is not positive.

    Examples:
        >>> import torch
        >>> from shapleycam import Explainer
        >>> from shapleycam.values._limited_runs import permutation_within
        >>> _ = torch.manual_seed(0)
        >>> layers = torch.nn.Conv2d(3, 4, 3), torch.nn.Tanh(), torch.nn.Flatten(), torch.nn.Linear(144, 2)
        >>> game = Explainer(torch.nn.Sequential(*layers), layer="input").game(torch.rand(1, 3, 8, 8), players=(2, 2))
        >>> shares = permutation_within(game, 40, tolerance=1.0)
        >>> shares.evaluations, shares.samples
        (tensor([36]), tensor([3]))
    """
    last: ShapleyValues | None = None
    for orders, last in estimates_within(game, runs, tolerance, samples_of(game, seed)):
        if progress is not None:
            progress(orders, float(last.uncertainty.max()))
    if last is None:
        raise RuntimeError("no sample was drawn within runs that were enough for three")
    return with_run_notes(last, tolerance, game.runs_per_coalition)


def estimates_within(game: Game, runs: int, tolerance: float, draw: Draw) -> Iterator[tuple[int, ShapleyValues]]:
    """Yield the number of orders and the estimates after each sample, until the tolerance or the limit is reached.

    `draw` draws the next sample of some images; `samples_of` returns such a function. A caller that stores the samples
    can continue later, or with another limit. Other arguments and errors are as in `permutation_within`.

    Examples:
        >>> import torch
        >>> from shapleycam import Explainer
        >>> from shapleycam.values._limited_runs import estimates_within, samples_of
        >>> _ = torch.manual_seed(0)
        >>> layers = torch.nn.Conv2d(3, 4, 3), torch.nn.Tanh(), torch.nn.Flatten(), torch.nn.Linear(144, 2)
        >>> game = Explainer(torch.nn.Sequential(*layers), layer="input").game(torch.rand(1, 3, 8, 8), players=(2, 2))
        >>> [orders for orders, _ in estimates_within(game, 50, 0.01, samples_of(game, 0))]
        [4, 8, 12, 16]
    """
    check_tolerance(tolerance)
    n = game.n_players
    each, fewest = game.runs_per_coalition, fewest_runs(n) * game.runs_per_coalition
    if fewest > runs:
        raise OptionError(f"{runs:,} runs for {n:,} players; expected {fewest:,} or more, or fewer players")
    most_samples = samples_within(n, runs // each)
    sums, surrogates = StreamSums.none(game), surrogate_control(game, most_samples)
    active = torch.arange(len(game.activation), device="cpu")
    for sample in range(1, most_samples + 1):
        drawn, gained = draw(active)
        sums.add(gained.mean(2), torch.zeros_like(gained[:, :, 0]), active, 4)
        if surrogates is not None:
            surrogates.add(drawn, gained, active)
            surrogates.correct(sums, game, active, tolerance)
        shares = sums.shares(game)
        yield 4 * sample, shares
        if sample >= FEWEST:
            active = active[~(shares.uncertainty.cpu()[active] <= tolerance)]
        if not len(active):
            return


def samples_of(game: Game, seed: Seed) -> Draw:
    """Return a function that draws the next sample of four orders of some images and evaluates it."""
    streams = order_streams(game, seed)

    def draw(images: Int[Tensor, " a"]) -> tuple[Tensor, Tensor]:
        drawn = torch.stack([streams[image].draw(1) for image in images.tolist()])
        return drawn, marginals(game, None, drawn, images)[0]

    return draw


def samples_within(n: int, runs: int) -> int:
    """Return how many samples of four orders of n players fit into `runs` evaluations of the game.

    Examples:
        >>> from shapleycam.values._limited_runs import samples_within
        >>> samples_within(49, 1000)
        5
    """
    return runs // (4 * (n - 1)) if n > 1 else _FEWEST_SAMPLES


def fewest_runs(n: int) -> int:
    """Return the minimum number of coalitions for a standard error of the values of n players.

    Examples:
        >>> from shapleycam.values._limited_runs import fewest_runs
        >>> fewest_runs(49)
        576
    """
    return _FEWEST_SAMPLES * 4 * (n - 1)


def runs_to_aim(error: float, runs: int) -> int:
    """Return about how many runs a standard error of 10% takes, if `runs` gave `error`: it falls as 1 / √runs.

    Examples:
        >>> from shapleycam.values._limited_runs import runs_to_aim
        >>> runs_to_aim(0.2, 1000)
        4000
    """
    return round(runs * (error / _AIM) ** 2 / _ROUNDED) * _ROUNDED


def with_run_notes(shares: _Values, tolerance: float, runs_per_coalition: int) -> _Values:
    """Return the values with a note on each image's runs; warn of images that did not reach the tolerance."""
    reached, runs = shares.uncertainty.tolist(), (shares.evaluations * runs_per_coalition).tolist()
    notes = [_note(shares, image, *numbers) for image, numbers in enumerate(zip(reached, runs, strict=True))]
    images = [image for image, error in enumerate(reached) if not error <= tolerance]
    if images:
        worst = max(images, key=reached.__getitem__)
        warn(
            ToleranceWarning,
            f"{notes[worst]} (image {', '.join(map(str, images))} of the batch), where {percent(tolerance, 2)} was "
            "asked; allow more with runs=, or group cells with players=",
        )
    return replace(shares, notes=tuple((note,) for note in notes))


def _note(shares: PlayerValues, image: int, error: float, runs: int) -> str:
    if not isfinite(error):
        if shares.stderr is not None and bool(shares.stderr[image].isfinite().all()):
            return f"after {runs:,} runs all values are zero, and their standard errors are not"
        return f"after {runs:,} runs not all groups were divided in two samples, which a standard error takes"
    more = f"; {percent(_AIM)} takes about {runs_to_aim(error, runs):,}" if error > _AIM else ""
    return f"after {runs:,} runs the standard error is {percent(error, 1)} of the values{more}"
