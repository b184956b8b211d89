"""Spreads: functions of activation A and derivative D, both (b, n, k), to one signed value for each position, (b, n).

The derivative is multiplied by C = A - R, the content that a position adds when it is present; R is the content of an
absent position. In the papers R is zero and C is A. Channel weights are computed from A, as in the papers.

The constants are those of the paper's code, so that results can be compared.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from shapleycam.cams.components import first_component, kernel_component, large_activations, salient_component

Positions: TypeAlias = Float[Tensor, "b n k"]
_FACTORISATION = "factorisation"


@dataclass(frozen=True)
class Spread:
    """A function from activation and derivative to one value for each position, with its name in tables.

    `group` is the heading under which results show its methods; None for the heading of their basis.

    Examples:
        >>> import torch
        >>> from shapleycam.cams.spreads import SPREADS
        >>> SPREADS["elementwise"](torch.ones(1, 2, 3), torch.full((1, 2, 3), 0.5))
        tensor([[1.5000, 1.5000]])
    """

    name: str
    function: Callable[[Tensor, Tensor, Tensor], Tensor]
    group: str | None = None

    def __call__(
        self, A: Float[Tensor, "b n k"], D: Float[Tensor, "b n k"], C: Float[Tensor, "b n k"] | None = None
    ) -> Float[Tensor, "b n"]:
        """Return the value of each position; C defaults to A."""
        return self.function(A, D, A if C is None else C)


def mean(_: Positions, D: Positions, C: Positions) -> Float[Tensor, "b n"]:
    """Return Σ_k C_jk mean_i D_ik: one weight for each channel, as in GradCAM."""
    return _weighted_sum(C, D.mean(1))


def elementwise(_: Positions, D: Positions, C: Positions) -> Float[Tensor, "b n"]:
    """Return Σ_k C_jk D_jk, as in HiResCAM: the Taylor or path estimate of the Shapley value itself."""
    return (C * D).sum(2)


def elementwise_relu(_: Positions, D: Positions, C: Positions) -> Float[Tensor, "b n"]:
    """Return Σ_k ReLU(C_jk D_jk), as in GradCAM-E: only what speaks for the class."""
    return (C * D).relu_().sum(2)


def activation_weighted(A: Positions, D: Positions, C: Positions) -> Float[Tensor, "b n"]:
    """Return Σ_k C_jk (Σ_i D_ik A_ik) / Σ_i A_ik, as in XGradCAM: a mean of the gradient in proportion to A."""
    return _weighted_sum(C, (A * D).sum(1) / (A.sum(1) + 1e-7))


def positive_gradient(_: Positions, D: Positions, C: Positions) -> Float[Tensor, "b n"]:
    """Return Σ_k C_jk ReLU(D_jk), as in LayerCAM."""
    return D.relu().mul_(C).sum(2)


def plus_plus(A: Positions, D: Positions, C: Positions) -> Float[Tensor, "b n"]:
    """Return GradCAM++: channel weights Σ_i ReLU(g) a with a = g² / (2g² + g³ Σ_i A), and a = 0 where g = 0."""
    # In place, because to allocate a tensor of this size takes longer than to compute it.
    square = D.square()
    denominator = (D * square).mul_(A.sum(1, keepdim=True)).add_(square, alpha=2).add_(1e-6)
    weights = square.div_(denominator).mul_(D).masked_fill_(D <= 0, 0.0)
    return _weighted_sum(C, weights.sum(1))


def _weighted_sum(C: Float[Tensor, "b n k"], weights: Float[Tensor, "b k"]) -> Float[Tensor, "b n"]:
    return torch.bmm(C, weights[:, :, None]).squeeze(2)


MEAN = Spread("mean", mean)
ELEMENTWISE = Spread("elementwise", elementwise)
ELEMENTWISE_RELU = Spread("elementwise + ReLU", elementwise_relu)
ACTIVATION_WEIGHTED = Spread("activation-weighted", activation_weighted)
POSITIVE_GRADIENT = Spread("positive gradient", positive_gradient)
PLUS_PLUS = Spread("plus plus", plus_plus)
FIRST_COMPONENT = Spread("first component", first_component, _FACTORISATION)
SALIENT_COMPONENT = Spread("first component, |D|", salient_component, _FACTORISATION)
KERNEL_COMPONENT = Spread("kernel component", kernel_component, _FACTORISATION)
LARGE_ACTIVATIONS = Spread("large activations", large_activations, _FACTORISATION)

SPREADS = {
    spread.name: spread
    for spread in (
        *(MEAN, ELEMENTWISE, ELEMENTWISE_RELU, ACTIVATION_WEIGHTED, POSITIVE_GRADIENT, PLUS_PLUS),
        *(FIRST_COMPONENT, SALIENT_COMPONENT, KERNEL_COMPONENT, LARGE_ACTIVATIONS),
    )
}
"""All spreads by name."""
