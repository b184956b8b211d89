"""Sampling with orders cut short, for games in which the first players of an order decide most.

Heads that begin with a LayerNorm are an example. A player's Shapley value is the mean, over all places in an order, of
its mean marginal contribution at this place. The places are estimated separately:

- the first place exactly, from the coalitions of a single player;
- the places up to a cut from cyclic orders: for n players in a circle, all arcs of 1 to cut + 1 neighbours are
  evaluated, and each player is at each of these places once as the last and once as the first player of an arc;
- the places behind the cut from samples of four orders, as in `_orders`.

The numbers of samples of the front and of the back minimise the cost of a standard error (Neyman 1934).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from shapleycam.game import Game
from shapleycam.precision import accurate
from shapleycam.values._orders import four_orders
from shapleycam.values.shares import ShapleyValues

CUT = 8
"""Number of places at the front, without the first one."""
TRIAL = 4
"""Cyclic orders of the trial."""
FEWEST, _STEP = 8, 1.25
"""Minimum samples of each part; and the growth of evaluations between two computations of the standard error."""


@dataclass
class _Part:
    """The samples of the front or the back of the orders; `cost` is the number of evaluations of one sample."""

    cost: int
    samples: list[Float[Tensor, " n"]] = field(default_factory=list)

    @property
    def deviation(self) -> float:
        """Return the norm over the players of a sample's standard deviation."""
        return float(torch.stack(self.samples).var(0).sum().sqrt())

    @property
    def square_error(self) -> Float[Tensor, " n"]:
        return torch.stack(self.samples).var(0) / len(self.samples)


class FrontSampler:
    """Samples the values of one image with orders that are cut short.

    Args:
        game: the game of a batch of images.
        image: the index of the image.
        generator: the only source of random numbers.
    """

    def __init__(self, game: Game, image: int, generator: torch.Generator) -> None:
        self._game, self._generator = game, generator
        self._image = torch.tensor([image], device="cpu")
        self._n = game.n_players
        self._singles = self._worth(torch.eye(self._n, dtype=torch.bool, device="cpu"))
        self._grand = game.grand[image].to(self._singles)
        self._front = _Part(self._n * CUT)
        self._back = _Part(4 * (self._n - 1 - CUT))
        self._spent = self._n

    @property
    def spent(self) -> int:
        """Return the number of evaluations so far."""
        return self._spent

    def trial(self) -> float:
        """Return the variance of a few cyclic orders, summed over the players; the estimates do not use them."""
        trial = torch.stack([self._sample_front() for _ in range(TRIAL)])
        self._spent += TRIAL * self._front.cost
        return float(trial.var(0).sum())

    @property
    def costs(self) -> tuple[int, int]:
        """Return the evaluations of a sample of the front, and of a sample of the back."""
        return self._front.cost, self._back.cost

    def to_tolerance(self, tolerance: float, most: int) -> ShapleyValues:
        """Sample until ‖standard error‖ / ‖values‖ is at most the tolerance, or `most` evaluations are spent."""
        for part, draw in ((self._front, self._sample_front), (self._back, self._sample_back)):
            part.samples += [draw() for _ in range(FEWEST)]
            self._spent += FEWEST * part.cost
        while not float(self._shares().uncertainty) <= tolerance and self._spent < most:
            end = min(most, _STEP * self._spent)
            while self._spent < end:
                self._draw_the_better()
        return self._shares()

    def _draw_the_better(self) -> None:
        """Draw more samples of the part that reduces the variance more for its cost."""
        gains = [part.deviation / len(part.samples) / part.cost**0.5 for part in (self._front, self._back)]
        part, draw = (self._front, self._sample_front) if gains[0] >= gains[1] else (self._back, self._sample_back)
        count = max(1, len(part.samples) // 8)
        part.samples += [draw() for _ in range(count)]
        self._spent += count * part.cost

    def _shares(self) -> ShapleyValues:
        n = self._n
        means = [torch.stack(part.samples).mean(0) for part in (self._front, self._back)]
        rest = (self._grand - self._singles.mean()) / n  # each player's part of the sum of front and back
        values = self._singles / n + means[0] + means[1] + rest
        squares = [part.square_error for part in (self._front, self._back)]
        freedom = _degrees_of_freedom(
            *((float(s.sum()), len(p.samples)) for s, p in zip(squares, (self._front, self._back), strict=True))
        )
        stderr = (squares[0] + squares[1]).sqrt()
        device = values.device
        return ShapleyValues(
            values[None],
            stderr[None],
            torch.tensor([self._spent], device=device),
            samples=torch.tensor([freedom + 1], device=device),
        )

    def _sample_front(self) -> Float[Tensor, " n"]:
        """Return the players' contributions from a cyclic order, from the second place to the cut; their sum is 0."""
        n = self._n
        circle = torch.randperm(n, generator=self._generator, device="cpu")
        starts, steps = torch.arange(n, device="cpu"), torch.arange(n, device="cpu")
        along = (steps - starts[:, None]) % n  # the distance of each place of the circle from each start
        arcs = along[None] < torch.arange(2, CUT + 2, device="cpu")[:, None, None]  # (lengths, starts, places)
        inside = torch.zeros_like(arcs)
        inside[..., circle] = arcs
        worth = self._worth(inside.flatten(0, 1)).unflatten(0, (CUT, n))
        worth = torch.cat([self._singles[circle.to(worth.device)][None], worth])  # by length and start
        gained = torch.zeros(n, dtype=worth.dtype, device=worth.device)
        for length in range(1, CUT + 1):
            longer, shorter = worth[length], worth[length - 1]
            as_first = longer - shorter.roll(-1)  # the arc without its first player starts one place later
            as_last = (longer - shorter).roll(length)  # moved from the arc's start to its last player
            gained += (as_first + as_last) / 2
        return self._centred(torch.empty_like(gained).scatter(0, circle.to(gained.device), gained / n))

    def _sample_back(self) -> Float[Tensor, " n"]:
        """Return the players' contributions from four orders, at the places behind the cut; their sum is 0."""
        n = self._n
        (four,) = four_orders(torch.randperm(n, generator=self._generator, device="cpu")[None])
        inside = four[:, None] < torch.arange(CUT + 1, n, device="cpu")[:, None]
        worth = self._worth(inside.flatten(0, 1)).unflatten(0, inside.shape[:2])
        worth = torch.cat([worth, self._grand.expand(4, 1)], 1)
        gained = torch.cat([worth.new_zeros(4, CUT + 1), worth.diff(dim=1)], 1)
        return self._centred(gained.gather(1, four.to(gained.device)).mean(0))

    def _worth(self, coalitions: Bool[Tensor, "s n"]) -> Float[Tensor, " s"]:
        worth = self._game.value(coalitions, self._image)[0]
        return worth.to(accurate(worth.device))

    @staticmethod
    def _centred(shares: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        """Return shares less their mean: the true sum is known, so that it need not be sampled."""
        return shares - shares.mean()


def _degrees_of_freedom(*parts: tuple[float, int]) -> int:
    """Return the degrees of freedom, rounded down, of a sum of parts (square error, number of samples) (Welch 1947)."""
    total = sum(square for square, _ in parts)
    each = sum(square**2 / (count - 1) for square, count in parts)
    return int(total**2 / each) if each > 0 else min(count for _, count in parts) - 1
