"""Control variates: games that approximate each image's game, and whose Shapley values cost almost nothing.

Only the difference from such a game c is sampled: φ = β φ(c) + φ(v - β c), for any factor β. (Owen, Monte Carlo theory,
methods and examples, 2013, chapter 8.)
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from jaxtyping import Bool, Float, Int
from torch import Tensor


class ControlVariate(ABC):
    """Games c that approximate the games of some images of a batch; tensors have a row for each image of the batch.

    Attributes:
        note: a sentence for explanations that used it.
        tries_single_orders: whether sampling to a tolerance begins with single orders.
        is_near: (b,), whether the difference is so small that single orders may suffice.
        spent: head evaluations and derivatives for each image that it took to make the control variate.
        centre: (b, n), approximate Shapley values of c, 0 for other images; results are unbiased whatever they are.
    """

    note: ClassVar[str]
    tries_single_orders: ClassVar[bool] = False
    is_near: Bool[Tensor, " b"]
    spent: int
    centre: Float[Tensor, "b n"]

    @abstractmethod
    def errors(self, places: Int[Tensor, "a samples k n"], images: Int[Tensor, " a"]) -> Float[Tensor, "a samples n"]:
        """Return each player's mean marginal contribution in c over the k orders of a sample, less its Shapley value.

        The Shapley value may be replaced by an unbiased estimate from other orders, which are new for each sample. The
        expectation of the error is zero.
        """
