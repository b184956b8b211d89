"""Sampling where the variance lies at the front of the orders, as behind a LayerNorm: many orders, cut short.

There the first players of an order decide most, and all that follow hardly matter. A player's value is the mean over
its place in the order of what it adds there, so the places are estimated apart:

- the first one exactly, from each player alone;
- those up to a cut from cyclic orders: of n players in a circle all arcs of 1 to cut + 1 neighbours are evaluated, and
  each player is at each of these places once as the last and once as the first of an arc;
- those behind the cut from samples of four orders, as everywhere.

Front and back are drawn in the numbers that reach a standard error most cheaply (Neyman 1934).
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
"""Places at the front, the first one apart."""
TRIAL = 4
"""Cyclic orders of the trial."""
FEWEST, _STEP = 8, 1.25
"""Samples of each part at least; and by how much the evaluations grow between two looks at the standard error."""


@dataclass
class _Part:
    """The samples of the front or the back of the orders, and the evaluations that one of them takes."""

    cost: int
    samples: list[Float[Tensor, " n"]] = field(default_factory=list)

    @property
    def deviation(self) -> float:
        """Return the standard deviation of a sample, its norm over the players."""
        return float(torch.stack(self.samples).var(0).sum().sqrt())

    @property
    def square_error(self) -> Float[Tensor, " n"]:
        return torch.stack(self.samples).var(0) / len(self.samples)


class FrontSampler:
    """Samples the values of one image by orders that are cut short.

    Args:
        game: of a batch of images.
        image: the index of this one.
        generator: what is random comes from it alone.
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
        """Return how many evaluations it has taken."""
        return self._spent

    def trial(self) -> float:
        """Return the variance of a few cyclic orders, summed over the players; they are not used further."""
        trial = torch.stack([self._sample_front() for _ in range(TRIAL)])
        self._spent += TRIAL * self._front.cost
        return float(trial.var(0).sum())

    @property
    def costs(self) -> tuple[int, int]:
        """Return the evaluations that a sample of the front, and of the back, takes."""
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
        """Draw one more sample of the part that lowers the variance more for its cost."""
        gains = [part.deviation / len(part.samples) / part.cost**0.5 for part in (self._front, self._back)]
        part, draw = (self._front, self._sample_front) if gains[0] >= gains[1] else (self._back, self._sample_back)
        count = max(1, len(part.samples) // 8)
        part.samples += [draw() for _ in range(count)]
        self._spent += count * part.cost

    def _shares(self) -> ShapleyValues:
        n = self._n
        means = [torch.stack(part.samples).mean(0) for part in (self._front, self._back)]
        rest = (self._grand - self._singles.mean()) / n  # what front and back share out together
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
        """Return the players' shares from a cyclic order, at the second place up to the cut; their sum is 0."""
        n = self._n
        circle = torch.randperm(n, generator=self._generator, device="cpu")
        starts, steps = torch.arange(n, device="cpu"), torch.arange(n, device="cpu")
        along = (steps - starts[:, None]) % n  # how far each place of the circle is behind each start
        arcs = along[None] < torch.arange(2, CUT + 2, device="cpu")[:, None, None]  # (lengths, starts, places)
        inside = torch.zeros_like(arcs)
        inside[..., circle] = arcs
        worth = self._worth(inside.flatten(0, 1)).unflatten(0, (CUT, n))
        worth = torch.cat([self._singles[circle.to(worth.device)][None], worth])  # by length and start
        gained = torch.zeros(n, dtype=worth.dtype, device=worth.device)
        for length in range(1, CUT + 1):
            longer, shorter = worth[length], worth[length - 1]
            as_first = longer - shorter.roll(-1)  # the arc without its start begins one place further
            as_last = (longer - shorter).roll(length)  # of the arc's last player
            gained += (as_first + as_last) / 2
        return self._centred(torch.empty_like(gained).scatter(0, circle.to(gained.device), gained / n))

    def _sample_back(self) -> Float[Tensor, " n"]:
        """Return the players' shares from four orders, at the places behind the cut; their sum is 0."""
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
        """Return shares with the sum 0: what they sum to besides is known, so that it need not be sampled."""
        return shares - shares.mean()


def _degrees_of_freedom(*parts: tuple[float, int]) -> int:
    """Return those of the sum of parts with these square errors and numbers of samples (Welch 1947), rounded down."""
    total = sum(square for square, _ in parts)
    each = sum(square**2 / (count - 1) for square, count in parts)
    return int(total**2 / each) if each > 0 else min(count for _, count in parts) - 1
