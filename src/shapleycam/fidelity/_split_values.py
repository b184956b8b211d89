"""`split_values`: Shapley values of a game, sampled in two independent halves whose difference shows the noise."""

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
"""Relative standard error at which sampling ends if coalitions have a shortcut."""


@dataclass(frozen=True)
class SplitValues:
    """Values of b images, as two estimates from independent halves of the runs; exact values are two equal halves.

    Attributes:
        first: values (b, n) from the first half of the runs.
        second: values (b, n) from the second half of the runs.
        runs: number of runs of the head (b,) for both halves; a coalition takes `Game.runs_per_coalition` runs. With a
            shortcut the number is computed in the same way, but the head does not run.
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
        """Return exact values as two equal halves."""
        return cls(values, values, runs, origin)

    @property
    def values(self) -> Float[Tensor, "b n"]:
        """Return the mean of both halves."""
        return (self.first + self.second) / 2

    @property
    def noise(self) -> Float[Tensor, " b"]:
        """Return ‖first - second‖ / 2, an estimate of the distance between `values` and the values without noise."""
        noise: Tensor = (self.first - self.second).norm(dim=1) / 2
        return noise

    def map(self, change: Callable[[Tensor], Tensor]) -> SplitValues:
        """Return both halves after a linear map (b, n) -> (b, m)."""
        return replace(self, first=change(self.first), second=change(self.second))


def split_values(game: Game, runs: int, seed: int = 0, *, progress: Progress | None = None) -> SplitValues:
    """Return a game's Shapley values as two independent halves, from a limited number of runs of the head.

    Values are exact if there are at most 12 players and the runs suffice for all coalitions. If coalitions have a
    shortcut, the number of runs is not limited, and values are sampled to 1%, which counts as exact.

    Args:
        game: the images' games.
        runs: maximum number of runs of the head for one image, for both halves together.
        seed: the seed of the orders; the image's content is mixed into it.
        progress: called while sampling, as in `shapleycam.values.EstimatorOptions`.

    Raises:
        OptionError: there are too few runs for the number of players.

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
    """Yield pairs (runs so far, None) while values are sampled, and at the end (all runs, values).

    Arguments and errors are the same as for `split_values`. There is no warning if the tolerance is not reached,
    because the halves show the noise.

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
    per_coalition = game.runs_per_coalition
    for half_seed in (seed, seed + 1):
        earlier_runs = sum(int(half.evaluations.max()) * per_coalition for half in halves)
        for orders, shares in estimates_within(game, runs // 2, TOLERANCE, samples_of(game, half_seed)):
            if progress is not None:
                progress(orders, float(shares.uncertainty.max()))
            last = shares
            yield earlier_runs + int(shares.evaluations.max()) * per_coalition, None
        halves.append(last)
    first, second = halves
    total_runs = (first.evaluations + second.evaluations) * per_coalition
    yield int(total_runs.max()), SplitValues(first.values, second.values, total_runs, "sampled")


def has_shortcut(game: Game, runs: int) -> bool:
    """Return whether coalitions have a shortcut, including one that is only worth preparing for this many runs.

    Examples:
        >>> import torch
        >>> from shapleycam import Explainer
        >>> from shapleycam.fidelity._split_values import has_shortcut
        >>> model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 4), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
        >>> has_shortcut(Explainer(model, layer="0").game(torch.rand(1, 3, 8, 8)), 1000)
        True
    """
    game.windows(runs)  # prepares the table of windows, if it pays off; it then is the game's shortcut
    return game.shortcut is not None


def takes_all_coalitions(players: int, runs: int) -> bool:
    """Return whether all coalitions can be evaluated within this many runs, so that values are exact.

    Examples:
        >>> from shapleycam.fidelity._split_values import takes_all_coalitions
        >>> takes_all_coalitions(9, 1000), takes_all_coalitions(9, 100), takes_all_coalitions(49, 1000)
        (True, False, False)
    """
    return players <= MOST_EXACT and 2**players <= runs


def check_split_runs(game: Game, runs: int) -> None:
    """Refuse a number of runs that is too small for the players, in two halves.

    Raises:
        OptionError: the number of runs is too small.
    """
    n, per_coalition = game.n_players, game.runs_per_coalition
    fewest = 2 * fewest_runs(n) * per_coalition
    if fewest > runs:
        typical = TYPICAL_ORDERS * (n - 1) * per_coalition
        example = ", players=(7, 7) say" if 2 * fewest_runs(7 * 7) * per_coalition <= runs else ""
        raise OptionError(
            f"the values of {n:,} players at layer {game.layer!r} take {fewest:,} runs at least, in two halves, and to "
            f"a standard error of 10% about {typical:,}; expected at most {runs:,}: make fewer "
            f"regions the players{example}, or allow more with runs="
        )


def sampled_runs(players: int, runs: int) -> int:
    """Return how many of the allowed runs both halves use, since a half consists of whole samples of four orders.

    Examples:
        >>> from shapleycam.fidelity._split_values import sampled_runs
        >>> sampled_runs(49, 2000)
        1920
    """
    sample = 4 * (players - 1)
    return 2 * (runs // 2 // sample * sample)
