"""Contents of the players of a batch: the activation A of present players, and R, the content of absent players."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from shapleycam.models.layout import Layout


class CoalitionContents(ABC):
    """The contents of present and of absent players, from which the activations of coalitions are made.

    Attributes:
        activation: A (b, ...), detached.
        layout: the layout of A.
    """

    activation: Float[Tensor, "b *shape"]
    layout: Layout

    @abstractmethod
    def of_coalitions(
        self, presence: Float[Tensor, "a s positions"], images: Int[Tensor, " a"]
    ) -> Float[Tensor, "a s *shape"]:
        """Return the activations of coalitions: A where `presence` is 1, and the removed content where it is 0."""

    @property
    @abstractmethod
    def tensors(self) -> tuple[Float[Tensor, "b *shape"], ...]:
        """Return all tensors that the activations of coalitions depend on."""


@dataclass(frozen=True)
class Contents(CoalitionContents):
    """The activation A of a batch of images, and a single R for absent players.

    For removal zero the arithmetic is that of the paper, without R.

    Attributes:
        activation: A (b, ...), detached.
        replacement: R (b, ...), detached; None for zero.
        layout: the layout of both.

    Examples:
        >>> import torch
        >>> from shapleycam.game.contents import Contents
        >>> from shapleycam.models.layout import Layout
        >>> tokens = torch.tensor([[[1.0], [5.0]]])
        >>> contents = Contents(tokens, torch.full_like(tokens, 3.0), Layout("tokens", (1, 2)))
        >>> contents.of_coalitions(torch.tensor([[[1.0, 0.0]]]), torch.tensor([0])).flatten()
        tensor([1., 3.])
        >>> contents.difference.flatten(), contents.along(0.5).flatten()
        (tensor([-2.,  2.]), tensor([2., 4.]))
    """

    activation: Float[Tensor, "b *shape"]
    replacement: Float[Tensor, "b *shape"] | None
    layout: Layout

    @property
    def empty(self) -> Float[Tensor, "b *shape"]:
        """Return R, the activation of the empty coalition."""
        return torch.zeros_like(self.activation) if self.replacement is None else self.replacement

    @property
    def difference(self) -> Float[Tensor, "b *shape"]:
        """Return A - R, which present players add to the activation of the empty coalition."""
        return self.activation if self.replacement is None else self.activation - self.replacement

    def along(self, scale: float) -> Float[Tensor, "b *shape"]:
        """Return R + t·(A - R), a point on the straight path from R to A."""
        along = scale * self.difference
        return along if self.replacement is None else self.replacement + along

    def of_coalitions(
        self, presence: Float[Tensor, "a s positions"], images: Int[Tensor, " a"]
    ) -> Float[Tensor, "a s *shape"]:
        """Return the activations of coalitions: exactly A where `presence` is 1, and R where it is 0."""
        present = self.layout.broadcast(presence.to(self.activation.dtype))
        if self.replacement is None:
            # Not a product: a negative number times 0 is -0, for which atan2 and 1/x give another result than for 0.
            return torch.where(present > 0, self.activation[images][:, None], 0.0)
        return torch.where(present > 0, self.activation[images][:, None], self.replacement[images][:, None])

    @property
    def tensors(self) -> tuple[Float[Tensor, "b *shape"], ...]:
        """Return A and R; only A if R is zero."""
        return (self.activation,) if self.replacement is None else (self.activation, self.replacement)

    @property
    def mean(self) -> Contents:
        """Return contents with the means (b, k) of A and of R over the positions."""
        replacement = None if self.replacement is None else self.absent_positions.mean(1)
        return Contents(self.positions.mean(1), replacement, self.layout)

    @property
    def positions(self) -> Float[Tensor, "b n k"]:
        """Return A with one vector for each position."""
        return self.layout.positions(self.activation)

    @property
    def absent_positions(self) -> Float[Tensor, "b m k"]:
        """Return R with one vector for each position; for removal zero there is a single position, m = 1."""
        if self.replacement is not None:
            return self.layout.positions(self.replacement)
        positions = self.positions
        return positions.new_zeros(len(positions), 1, positions.shape[2])
