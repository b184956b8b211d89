"""What the players of a batch hold: the activation A, and R, which stands in for it where they are absent."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from shapleycam.models.layout import Layout


class CoalitionContents(ABC):
    """What the players of a batch hold, and what stands in for it in each coalition where they are absent.

    Attributes:
        activation: A (b, ...), detached.
        layout: of A.
    """

    activation: Float[Tensor, "b *shape"]
    layout: Layout

    @abstractmethod
    def of_coalitions(
        self, presence: Float[Tensor, "a s positions"], images: Int[Tensor, " a"]
    ) -> Float[Tensor, "a s *shape"]:
        """Return the activations of coalitions: A where `presence` is 1, and what stands in for it where it is 0."""

    @property
    @abstractmethod
    def tensors(self) -> tuple[Float[Tensor, "b *shape"], ...]:
        """Return all numbers that the activations of coalitions are made of."""


@dataclass(frozen=True)
class Contents(CoalitionContents):
    """The activation of a batch of images, and what stands in for it at the positions of absent players.

    For the paper's removal, zero, the arithmetic is the paper's, without R.

    Attributes:
        activation: A (b, ...), detached.
        replacement: R (b, ...), detached; None for zero.
        layout: of both.

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
        """Return A - R, what the players add to the empty coalition's activation."""
        return self.activation if self.replacement is None else self.activation - self.replacement

    def along(self, scale: float) -> Float[Tensor, "b *shape"]:
        """Return R + t·(A - R), the activation with all players present to the degree t."""
        along = scale * self.difference
        return along if self.replacement is None else self.replacement + along

    def of_coalitions(
        self, presence: Float[Tensor, "a s positions"], images: Int[Tensor, " a"]
    ) -> Float[Tensor, "a s *shape"]:
        """Return the activations of coalitions: exactly A where `presence` is 1, and R where it is 0."""
        present = self.layout.broadcast(presence.to(self.activation.dtype))
        if self.replacement is None:  # no product: a negative number times 0 is -0, of which atan2 or 1/x make another
            return torch.where(present > 0, self.activation[images][:, None], 0.0)
        return torch.where(present > 0, self.activation[images][:, None], self.replacement[images][:, None])

    @property
    def tensors(self) -> tuple[Float[Tensor, "b *shape"], ...]:
        """Return A and R; A alone where R is zero."""
        return (self.activation,) if self.replacement is None else (self.activation, self.replacement)

    @property
    def mean(self) -> Contents:
        """Return the means (b, k) of A and of R over the positions, as contents without a place."""
        replacement = None if self.replacement is None else self.absent_positions.mean(1)
        return Contents(self.positions.mean(1), replacement, self.layout)

    @property
    def positions(self) -> Float[Tensor, "b n k"]:
        """Return A as one vector a position."""
        return self.layout.positions(self.activation)

    @property
    def absent_positions(self) -> Float[Tensor, "b m k"]:
        """Return what stands in at each of the m positions; for zero m is 1, as all positions have the same."""
        if self.replacement is not None:
            return self.layout.positions(self.replacement)
        positions = self.positions
        return positions.new_zeros(len(positions), 1, positions.shape[2])
