"""Control variates: games that are near each image's own, and whose Shapley values cost next to nothing.

Sampled is only the difference from such a game c: φ = β φ(c) + φ(v - β c), for any factor β. (Owen, Monte Carlo theory,
methods and examples, 2013, chapter 8.)
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from jaxtyping import Bool, Float, Int
from torch import Tensor


class ControlVariate(ABC):
    """A game near the own one of each of some images of a batch; tensors have a row for all images of the batch.

    Attributes:
        note: what an explanation says where it was used.
        tries_single_orders: whether sampling to a tolerance begins with single orders.
        is_near: (b,), whether so little is left to sample that these may do.
        spent: head evaluations and derivatives that it took to make it, for each image.
        centre: (b, n), about its Shapley values, 0 of other images; nothing depends on how near they are.
    """

    note: ClassVar[str]
    tries_single_orders: ClassVar[bool] = False
    is_near: Bool[Tensor, " b"]
    spent: int
    centre: Float[Tensor, "b n"]

    @abstractmethod
    def errors(self, places: Int[Tensor, "a samples k n"], images: Int[Tensor, " a"]) -> Float[Tensor, "a samples n"]:
        """Return how far each player's mean contribution to c in the k orders of a sample is from its Shapley value.

        That value may be an unbiased estimate, made of other orders for each sample. So the error is zero on average.
        """
