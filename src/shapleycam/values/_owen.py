"""Owen values: Shapley values of players in nested groups; a coarse estimate is refined where it matters.

They average over the orders in which each group's players are contiguous. Sources: Owen, Values of games with a priori
unions, 1977, for one level of groups; Winter, A value for cooperative games with levels structure of cooperation, 1989,
for several levels. shap's PartitionExplainer computes these values for a binary tree of the pixels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import isfinite, nan

import torch
from jaxtyping import Int
from torch import Tensor

from shapleycam.errors import OptionError, ToleranceWarning, warn
from shapleycam.game import Game
from shapleycam.images import Seed
from shapleycam.precision import accurate
from shapleycam.values._grouped_orders import Worth
from shapleycam.values._limited_runs import with_run_notes
from shapleycam.values._refining import Refining
from shapleycam.values.group_tree import Groups, trees_of_images
from shapleycam.values.progress import Progress
from shapleycam.values.shares import PlayerValues
from shapleycam.values.tolerance import check_tolerance
from shapleycam.wording import percent

MOST_RUNS = 2**18
_FEWEST_TO_STOP = 8
"""Minimum number of samples before a tolerance counts as reached."""


@dataclass(frozen=True)
class OwenValues(PlayerValues):
    """Owen values of the players, and of their groups; attributes as in `PlayerValues`.

    Attributes:
        levels: for each level of groups, from coarse to fine, the values (b, groups) of its groups: the sums over their
            players. The value of a group that was not opened is divided evenly among its players, whose standard errors
            are infinite, while the group's own standard error is finite.

    Examples:
        >>> import torch
        >>> from shapleycam.values import OwenValues
        >>> shares = OwenValues(torch.tensor([[3.0, 4.0]]), stderr=None, evaluations=torch.tensor([2]))
        >>> shares.levels
        ()
    """

    levels: tuple[PlayerValues, ...] = ()


def owen(
    game: Game,
    groups: Groups = None,
    tolerance: float = 0.01,
    seed: Seed = 0,
    *,
    runs: int | None = None,
    progress: Progress | None = None,
) -> OwenValues:
    """Sample Owen values (b, n) of players in nested groups, with standard errors; they sum to v(N) in any case.

    Args:
        game: the images' games; an image's values do not depend on the other images of the batch.
        groups: levels from coarse to fine, each with the label of every player's group, (n,) or (b, n). An empty list
            allows all orders, which gives Shapley values. None groups by position: halves of the image along each axis,
            halves of these, and so on (8 x 8 regions: 2 x 2, 4 x 4, 8 x 8); all prefix tokens are one group.
        tolerance: ‖stderr‖ / ‖values‖ at which sampling ends, but not before eight samples of four orders; 0.01 is 1%.
        seed: the orders are drawn from this seed and the image's content.
        runs: the maximum number of runs of the head for each image; None for 262,144.
        progress: a function that is called after each sample with the number of orders so far and the largest
            ‖stderr‖ / ‖values‖ (NaN while it is unknown); an exception ends the sampling.

    Returns:
        The values and their standard errors, both (b, n), in units of the utility, in float64. If `runs` is too small
        for two samples of a group, the group is not opened: its value is divided evenly among its players, whose
        standard errors are infinite, and a note says so.

    Raises:
        OptionError: the groups do not fit or are not nested; the tolerance or the number of runs is not positive.

    Examples:
        >>> import torch
        >>> from shapleycam import Explainer
        >>> from shapleycam.values import owen
        >>> _ = torch.manual_seed(0)
        >>> layers = torch.nn.Conv2d(3, 4, 3), torch.nn.Tanh(), torch.nn.Flatten(), torch.nn.Linear(144, 2)
        >>> game = Explainer(torch.nn.Sequential(*layers), layer="input").game(torch.rand(1, 3, 8, 8), players=(4, 4))
        >>> shares = owen(game, runs=500)
        >>> shares.values.shape, shares.levels[0].values.shape
        (torch.Size([1, 16]), torch.Size([1, 4]))
        >>> torch.allclose(shares.values.sum(1), game.grand.double(), atol=1e-5)
        True
    """
    check_tolerance(tolerance)
    refining = _start(game, groups, seed, runs)
    for image in refining:
        for error in _refine_to(tolerance, image):
            if progress is not None:
                progress(4 * image.sums.drawn, error if isfinite(error) else nan)
    shares = _together(game, refining)
    if runs is not None:
        return with_run_notes(shares, tolerance, game.runs_per_coalition)
    reached = shares.uncertainty
    if not bool((reached <= tolerance).all()):
        warn(
            ToleranceWarning,
            f"the standard error of Owen values is up to {percent(float(reached.max()), 2)} of the values, where "
            f"{percent(tolerance, 2)} was asked; allow a larger tolerance, or group cells with players=",
        )
    return shares


def owen_within(
    game: Game, runs: int, tolerance: float, seed: Seed = 0, *, worth: Worth | None = None
) -> Iterator[OwenValues]:
    """Yield the estimates of one image's Owen values while they are refined; the last ones are those of `owen`.

    `worth` evaluates coalitions of the image. If it caches their values, the caller can start again, or with another
    number of runs, without repeated evaluations. Other arguments and errors are as in `owen`.

    Examples:
        >>> import torch
        >>> from shapleycam import Explainer
        >>> from shapleycam.values._owen import owen, owen_within
        >>> _ = torch.manual_seed(0)
        >>> layers = torch.nn.Conv2d(3, 4, 3), torch.nn.Tanh(), torch.nn.Flatten(), torch.nn.Linear(144, 2)
        >>> game = Explainer(torch.nn.Sequential(*layers), layer="input").game(torch.rand(1, 3, 8, 8), players=(4, 4))
        >>> *_, last = owen_within(game, 500, 0.01)
        >>> torch.equal(last.values, owen(game, runs=500).values)
        True
    """
    check_tolerance(tolerance)
    refining = _start(game, None, seed, runs, worth)
    yield _together(game, refining)
    for image in refining:
        for _ in _refine_to(tolerance, image):
            yield _together(game, refining)


def _refine_to(tolerance: float, image: Refining) -> Iterator[float]:
    """Sample one image to a tolerance, or until its runs are used up; yield each relative error that was computed.

    The error is computed after more and more samples.
    """
    reached, goes_on = image.uncertainty, True
    while goes_on and not (reached <= tolerance and (image.sums.drawn >= _FEWEST_TO_STOP or reached == 0)):
        for _ in range(max(1, image.sums.drawn // 8)):
            goes_on = image.refine()
        reached = image.uncertainty
        yield reached


def owen_refined(game: Game, groups: Groups = None, seed: Seed = 0, *, runs: int | None = None) -> Iterator[OwenValues]:
    """Yield Owen values as they are refined: first of the coarsest groups, then of finer groups, then where it matters.

    Each step draws one more sample of each image, until the runs are used up. Arguments and errors are as in `owen`.
    The caller may pause, and continue with the same iterator later.

    Examples:
        >>> import torch
        >>> from itertools import islice
        >>> from shapleycam import Explainer
        >>> from shapleycam.values import owen_refined
        >>> _ = torch.manual_seed(0)
        >>> layers = torch.nn.Conv2d(3, 4, 3), torch.nn.Tanh(), torch.nn.Flatten(), torch.nn.Linear(144, 2)
        >>> game = Explainer(torch.nn.Sequential(*layers), layer="input").game(torch.rand(1, 3, 8, 8), players=(4, 4))
        >>> [int(shares.evaluations) for shares in islice(owen_refined(game), 2)]  # 2 x 2 regions, then 4 x 4
        [14, 126]
    """
    refining = _start(game, groups, seed, runs)
    yield _together(game, refining)
    while any(tuple(image.refine() for image in refining)):  # a tuple, so that all images are refined
        yield _together(game, refining)


def _start(game: Game, groups: Groups, seed: Seed, runs: int | None, worth: Worth | None = None) -> list[Refining]:
    """Return the refinement of each image, before its first sample.

    Raises:
        OptionError: the groups do not fit, or there are too few runs.
    """
    if runs is not None and runs < game.runs_per_coalition:
        raise OptionError(f"runs is {runs}; expected {game.runs_per_coalition} or more, or None")
    coalitions = MOST_RUNS if runs is None else runs // game.runs_per_coalition
    generators = [torch.Generator().manual_seed(image_seed) for image_seed in game.seeds(seed)]
    return [
        Refining(game, image, tree, generator, coalitions, worth)
        for image, (tree, generator) in enumerate(zip(trees_of_images(groups, game.players), generators, strict=True))
    ]


def _together(game: Game, refining: list[Refining]) -> OwenValues:
    """Return the current values of all images."""
    device, dtype = game.activation.device, accurate(game.activation.device)
    values = torch.stack([image.sums.values[image.tree.leaves] for image in refining])
    stderr = torch.stack([image.sums.stderr[image.tree.leaves] for image in refining])
    evaluations = torch.tensor([image.spent for image in refining], device=device)
    samples = torch.tensor([image.samples for image in refining], device=device)
    of_levels = zip(*(image.tree.groups for image in refining), strict=True)
    levels = tuple(_of_level(refining, nodes, evaluations, samples) for nodes in of_levels)
    return OwenValues(values.to(device, dtype), stderr.to(device, dtype), evaluations, samples, levels=levels)


def _of_level(
    refining: list[Refining], nodes: tuple[Int[Tensor, " _"], ...], evaluations: Tensor, samples: Tensor
) -> PlayerValues:
    """Return the values of the groups of one level; images with fewer groups than others are padded with zeros."""
    most = max(map(len, nodes))
    values = torch.zeros(len(nodes), most, dtype=torch.float64, device="cpu")
    stderr = torch.zeros_like(values)
    for row, (image, groups) in enumerate(zip(refining, nodes, strict=True)):
        values[row, : len(groups)] = image.sums.values[groups]
        stderr[row, : len(groups)] = image.sums.stderr[groups]
    return PlayerValues(values.to(evaluations.device), stderr.to(evaluations.device), evaluations, samples)
