"""Random orders of the players, drawn so that the errors of orders of one stream cancel in part.

One sample is four orders: a random one, the same with its halves exchanged, and both reversed. Samples are assigned to
eight independent streams in turn. Within a stream, a random order is the order of the entries of a random vector, and
the vectors are orthogonal to each other (Mitchell et al. 2022, arXiv:2104.12199); each order is still uniformly random.
A prefix player, whose value is often far larger than the others, takes evenly spread places. So samples of a stream are
not independent, but streams are: standard errors are computed from streams.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

STREAMS = 8
"""Independent streams of samples."""
_MOST_ORTHOGONAL = 256
"""Maximum number of vectors that are orthogonal to each other."""
_GOLDEN = (5**0.5 - 1) / 2
"""Golden ratio: steps of this length along a circle spread any number of points evenly."""


def four_orders(places: Int[Tensor, "samples n"]) -> Int[Tensor, "samples four n"]:
    """Return the players' places in four orders: the given one, with its halves exchanged, and both reversed.

    Examples:
        >>> import torch
        >>> from shapleycam.values._orders import four_orders
        >>> four_orders(torch.tensor([[0, 1, 2, 3]])).tolist()
        [[[0, 1, 2, 3], [2, 3, 0, 1], [3, 2, 1, 0], [1, 0, 3, 2]]]
    """
    n = places.shape[1]
    exchanged = (places + n - n // 2) % n
    return torch.stack([places, exchanged, n - 1 - places, n - 1 - exchanged], 1)


def prefixes(places: Int[Tensor, "*orders n"]) -> Bool[Tensor, "*orders n_and_1 n"]:
    """Return the coalitions of the first 0, 1, … n players of each order."""
    return places[..., None, :] < torch.arange(places.shape[-1] + 1, device=places.device)[:, None]


def of_players(
    worth: Float[Tensor, "a orders n_and_1"], places: Int[Tensor, "a samples k n"]
) -> Float[Tensor, "a samples k n"]:
    """Return each player's marginal contribution, from the values of the first 0, 1, … n players of each order."""
    gained: Tensor = worth.diff(dim=2).unflatten(1, places.shape[1:3])
    return gained.gather(3, places.to(gained.device))


class OrderStreams:
    """The random orders of one image's players.

    Args:
        n: the number of players.
        generator: the only source of random numbers.
        has_prefix: whether the last player is the prefix tokens.

    Examples:
        >>> import torch
        >>> from shapleycam.values._orders import OrderStreams
        >>> streams = OrderStreams(5, torch.Generator().manual_seed(0), has_prefix=False)
        >>> streams.draw(3).shape  # samples, orders, the place of each player
        torch.Size([3, 4, 5])
    """

    def __init__(self, n: int, generator: torch.Generator, *, has_prefix: bool) -> None:
        self._n, self._generator, self._has_prefix = n, generator, has_prefix
        self._drawn = 0
        self._vectors: list[list[Float[Tensor, " m"]]] = [[] for _ in range(STREAMS)]
        self._starts = torch.rand(STREAMS, generator=generator, dtype=torch.float64, device="cpu").tolist()

    @property
    def generator(self) -> torch.Generator:
        """Return the source of all random numbers."""
        return self._generator

    def draw(self, count: int) -> Int[Tensor, "count four n"]:
        """Return the players' places in the four orders of each of the next `count` samples."""
        return four_orders(torch.stack([self._next() for _ in range(count)]))

    def _next(self) -> Int[Tensor, " n"]:
        stream, number = self._drawn % STREAMS, self._drawn // STREAMS
        self._drawn += 1
        others = self._vector(stream).argsort().argsort()
        if not self._has_prefix:
            return others
        place = int(self._n * ((self._starts[stream] + number * _GOLDEN) % 1))
        return torch.cat([others + (others >= place), others.new_tensor([place])])

    def _vector(self, stream: int) -> Float[Tensor, " m"]:
        """Return a random vector with the sum 0, orthogonal to those before it; start anew if there can be none."""
        size = self._n - self._has_prefix
        before = self._vectors[stream]
        if len(before) >= min(size - 1, _MOST_ORTHOGONAL):
            before.clear()
        vector = torch.randn(size, generator=self._generator, dtype=torch.float64, device="cpu")
        for _ in range(2):  # twice, since rounding leaves a small component after the first time
            vector = vector - vector.mean()
            if before:
                basis = torch.stack(before)
                vector = vector - (basis @ vector) @ basis
        before.append(vector / vector.norm())
        return vector
