"""Shapley values of a game in two halves that were sampled independently, so that their noise can be seen."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from jaxtyping import Float, Int
from torch import Tensor

from shapleycam.cams.run_check import TYPICAL_ORDERS
from shapleycam.errors import OptionError
from shapleycam.fidelity.reference import MOST_EXACT, true_values
from shapleycam.game import Game
from shapleycam.values._limited_runs import estimates_within, fewest_runs, samples_of
from shapleycam.values.progress import Progress
from shapleycam.values.shares import ShapleyValues

TOLERANCE = 0.01
"""The standard error, as a share of the values, up to which values are sampled where coalitions have a shortcut."""


@dataclass(frozen=True)
class SplitValues:
    """Values of b images from two independent halves of the runs; exact ones are two equal halves.

    Attributes:
        first: (b, n), from the first half of the runs.
        second: (b, n), from the second half.
        runs: (b,), the runs of the head for both, of which a coalition takes `Game.runs_per_coalition`; the coalitions
            where these have a shortcut.
        origin: how the values were computed, in words.

    Examples:
        >>> import torch
        >>> from shapleycam.fidelity import SplitValues
        >>> halves = torch.tensor([[3.0, 4.0]]), torch.tensor([[3.0, 2.0]])
        >>> split = SplitValues(*halves, runs=torch.tensor([96]), origin="sampled")
        >>> split.values, split.noise
        (tensor([[3., 3.]]), tensor([1.]))
    """

    first: Float[Tensor, "b n"]
    second: Float[Tensor, "b n"]
    runs: Int[Tensor, " b"]
    origin: str

    @classmethod
    def exact(cls, values: Float[Tensor, "b n"], runs: Int[Tensor, " b"], origin: str) -> SplitValues:
        """Return values without noise."""
        return cls(values, values, runs, origin)

    @property
    def values(self) -> Float[Tensor, "b n"]:
        """Return the mean of both halves."""
        return (self.first + self.second) / 2

    @property
    def noise(self) -> Float[Tensor, " b"]:
        """Return ‖first - second‖ / 2, which estimates how far their mean is from the values without noise."""
        noise: Tensor = (self.first - self.second).norm(dim=1) / 2
        return noise

    def map(self, change: Callable[[Tensor], Tensor]) -> SplitValues:
        """Return both halves after a linear map (b, n) -> (b, m)."""
        return replace(self, first=change(self.first), second=change(self.second))


def split_values(game: Game, runs: int, seed: int = 0, *, progress: Progress | None = None) -> SplitValues:
    """Return a game's Shapley values from so many runs of the head an image, in two independent halves.

    Values are exact where all coalitions are few enough, up to 12 players. Where coalitions have a shortcut, the runs
    are not limited, and values are sampled to 1%, which counts as exact.

    Args:
        game: the images' games.
        runs: of the head, an image, at most, for both halves together.
        seed: with the image's content, what the orders are drawn from.
        progress: called while sampling, as in `shapleycam.values.EstimatorOptions`.

    Raises:
        OptionError: too few runs for the players.

    Examples:
        >>> import torch
        >>> from shapleycam import Explainer
        >>> from shapleycam.fidelity import split_values
        >>> _ = torch.manual_seed(0)
        >>> layers = torch.nn.Conv2d(3, 4, 3), torch.nn.Tanh(), torch.nn.Flatten(), torch.nn.Linear(144, 2)
        >>> game = Explainer(torch.nn.Sequential(*layers), layer="input").game(torch.rand(1, 3, 8, 8), players=(4, 4))
        >>> split = split_values(game, 400)
        >>> split.runs, bool(torch.allclose(split.values.sum(1), game.grand.double(), rtol=1e-4))
        (tensor([480]), True)
    """
    if has_shortcut(game, runs) or takes_all_coalitions(game.n_players, runs // game.runs_per_coalition):
        shares = true_values(game, TOLERANCE, seed, progress)
        origin = "exact" if shares.stderr is None else "sampled to 1%"
        return SplitValues.exact(shares.values, shares.evaluations * game.runs_per_coalition, origin)
    (*_, (_, split)) = split_steps(game, runs, seed, progress=progress)
    if split is None:
        raise RuntimeError("the sampling of two halves ended before its last step")
    return split


def split_steps(
    game: Game, runs: int, seed: int = 0, *, progress: Progress | None = None
) -> Iterator[tuple[int, SplitValues | None]]:
    """Yield the runs that sampled values took so far, and with the last of them the values, for whoever watches.

    Arguments and errors are as of `split_values`. The noise of the values is measured, so that no warning is given of a
    tolerance that was not reached.

    Examples:
        >>> import torch
        >>> from shapleycam import Explainer
        >>> from shapleycam.fidelity._split_values import split_steps
        >>> _ = torch.manual_seed(0)
        >>> layers = torch.nn.Conv2d(3, 4, 3), torch.nn.Tanh(), torch.nn.Flatten(), torch.nn.Linear(144, 2)
        >>> game = Explainer(torch.nn.Sequential(*layers), layer="input").game(torch.rand(1, 3, 8, 8), players=(4, 4))
        >>> [(runs, split is not None) for runs, split in split_steps(game, 400)][-2:]
        [(360, False), (360, True)]
    """
    check_split_runs(game, runs)
    halves: list[ShapleyValues] = []
    each = game.runs_per_coalition
    for half_seed in (seed, seed + 1):
        made = sum(int(half.evaluations.max()) * each for half in halves)
        for orders, shares in estimates_within(game, runs // 2, TOLERANCE, samples_of(game, half_seed)):
            if progress is not None:
                progress(orders, float(shares.uncertainty.max()))
            last = shares
            yield made + int(shares.evaluations.max()) * each, None
        halves.append(last)
    first, second = halves
    spent = (first.evaluations + second.evaluations) * each
    yield int(spent.max()), SplitValues(first.values, second.values, spent, "sampled")


def has_shortcut(game: Game, runs: int) -> bool:
    """Return whether coalitions have a shortcut, or one that is worth making for so many of them.

    Examples:
        >>> import torch
        >>> from shapleycam import Explainer
        >>> from shapleycam.fidelity._split_values import has_shortcut
        >>> model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 4), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
        >>> has_shortcut(Explainer(model, layer="0").game(torch.rand(1, 3, 8, 8)), 1000)
        True
    """
    game.windows(runs)  # makes the table of windows, which then is the game's shortcut
    return game.shortcut is not None


def takes_all_coalitions(players: int, runs: int) -> bool:
    """Return whether values are exact, of all coalitions, within so many runs.

    Examples:
        >>> from shapleycam.fidelity._split_values import takes_all_coalitions
        >>> takes_all_coalitions(9, 1000), takes_all_coalitions(9, 100), takes_all_coalitions(49, 1000)
        (True, False, False)
    """
    return players <= MOST_EXACT and 2**players <= runs


def check_split_runs(game: Game, runs: int) -> None:
    """Refuse more players than so many runs can resolve in two halves.

    Raises:
        OptionError: there are more.
    """
    n, each = game.n_players, game.runs_per_coalition
    fewest = 2 * fewest_runs(n) * each
    if fewest > runs:
        example = ", players=(7, 7) say" if 2 * fewest_runs(7 * 7) * each <= runs else ""
        raise OptionError(
            f"the values of {n:,} players at layer {game.layer!r} take {fewest:,} runs at least, in two halves, and to "
            f"a standard error of 10% about {TYPICAL_ORDERS * (n - 1) * each:,}; expected at most {runs:,}: make fewer "
            f"regions the players{example}, or allow more with runs="
        )


def sampled_runs(players: int, runs: int) -> int:
    """Return how many of so many runs both halves take: whole samples of four orders.

    Examples:
        >>> from shapleycam.fidelity._split_values import sampled_runs
        >>> sampled_runs(49, 2000)
        1920
    """
    sample = 4 * (players - 1)
    return 2 * (runs // 2 // sample * sample)
