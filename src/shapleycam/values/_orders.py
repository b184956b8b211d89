"""Random orders of the players, drawn so that orders of one stream balance each other.

One sample is four orders: a random one, the same with its halves exchanged, and both reversed. Samples belong to eight
independent streams in turn. Within a stream the random orders are those of the entries of orthogonal random vectors
(Mitchell et al. 2022, arXiv:2104.12199), each of which is uniformly random; a prefix player, which often earns far more
than the others, takes evenly spread places. So samples of a stream are not independent, but streams are: standard
errors come from these.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

STREAMS = 8
"""Independent streams of samples."""
_MOST_ORTHOGONAL = 256
"""Vectors that are orthogonal to each other, at most."""
_GOLDEN = (5**0.5 - 1) / 2
"""Step along the circle that spreads any number of points evenly."""


class OrderStreams:
    """The random orders of one image's players.

    Args:
        n: the number of players.
        generator: what is random comes from it alone.
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
        """Return where all that is random comes from."""
        return self._generator

    def draw(self, count: int) -> Int[Tensor, "count four n"]:
        """Return the place of each player in the four orders of each of the next samples."""
        places = torch.stack([self._next() for _ in range(count)])
        exchanged = (places + self._n - self._n // 2) % self._n
        return torch.stack([places, exchanged, self._n - 1 - places, self._n - 1 - exchanged], 1)

    def _next(self) -> Int[Tensor, " n"]:
        stream, number = self._drawn % STREAMS, self._drawn // STREAMS
        self._drawn += 1
        others = self._vector(stream).argsort().argsort()
        if not self._has_prefix:
            return others
        place = int(self._n * ((self._starts[stream] + number * _GOLDEN) % 1))
        return torch.cat([others + (others >= place), others.new_tensor([place])])

    def _vector(self, stream: int) -> Float[Tensor, " m"]:
        """Return a random vector with the sum 0, orthogonal to those before it as long as there can be one."""
        size = self._n - self._has_prefix
        before = self._vectors[stream]
        if len(before) >= min(size - 1, _MOST_ORTHOGONAL):
            before.clear()
        vector = torch.randn(size, generator=self._generator, dtype=torch.float64, device="cpu")
        for _ in range(2):  # the second time takes away what rounding left
            vector = vector - vector.mean()
            if before:
                basis = torch.stack(before)
                vector = vector - (basis @ vector) @ basis
        before.append(vector / vector.norm())
        return vector
