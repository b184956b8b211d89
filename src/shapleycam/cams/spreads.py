"""From activation A and derivative D, both (b, n, k), to one signed value a position (b, n).

The constants are those of the paper's code, so that figures can be compared.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor


def mean(A: Float[Tensor, "b n k"], D: Float[Tensor, "b n k"]) -> Float[Tensor, "b n"]:
    """Σ_k A_jk mean_i D_ik: one weight a channel, as in GradCAM."""
    return _weighted(A, D.mean(1))


def elementwise(A: Float[Tensor, "b n k"], D: Float[Tensor, "b n k"]) -> Float[Tensor, "b n"]:
    """Σ_k A_jk D_jk, as in HiResCAM: the Taylor or path estimate of the Shapley value itself."""
    return (A * D).sum(2)


def elementwise_relu(A: Float[Tensor, "b n k"], D: Float[Tensor, "b n k"]) -> Float[Tensor, "b n"]:
    """Σ_k ReLU(A_jk D_jk), as in GradCAM-E: only what speaks for the class."""
    return (A * D).relu().sum(2)


def activation_weighted(A: Float[Tensor, "b n k"], D: Float[Tensor, "b n k"]) -> Float[Tensor, "b n"]:
    """Σ_k A_jk (Σ_i D_ik A_ik) / Σ_i A_ik, as in XGradCAM."""
    return _weighted(A, (A * D).sum(1) / (A.sum(1) + 1e-7))


def positive_gradient(A: Float[Tensor, "b n k"], D: Float[Tensor, "b n k"]) -> Float[Tensor, "b n"]:
    """Σ_k A_jk ReLU(D_jk), LayerCAM."""
    return (A * D.relu()).sum(2)


def plus_plus(A: Float[Tensor, "b n k"], D: Float[Tensor, "b n k"]) -> Float[Tensor, "b n"]:
    """GradCAM++: channel weights Σ_i ReLU(g) a with a = g² / (2g² + g³ Σ_i A), zero where g = 0."""
    square = D.square()
    share = square / (2 * square + D * square * A.sum(1, keepdim=True) + 1e-6)
    share = torch.where(D == 0, 0.0, share)
    return _weighted(A, (D.relu() * share).sum(1))


def _weighted(A: Float[Tensor, "b n k"], weights: Float[Tensor, "b k"]) -> Float[Tensor, "b n"]:
    return torch.bmm(A, weights[:, :, None]).squeeze(2)


SPREADS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "mean": mean,
    "elementwise": elementwise,
    "elementwise + ReLU": elementwise_relu,
    "activation-weighted": activation_weighted,
    "positive gradient": positive_gradient,
    "plus plus": plus_plus,
}
