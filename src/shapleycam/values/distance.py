"""How far estimated values are from the true ones (the Shapley error of the metrics).

All are for each image; the sum of squares, the ranks and the sums are over its players.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from scipy.stats import rankdata
from torch import Tensor


def relative_error(found: Float[Tensor, "b n"], true: Float[Tensor, "b n"]) -> Float[Tensor, " b"]:
    """‖φ̂ - φ‖ / ‖φ‖; low is good, 1 is as bad as zeros. NaN where the true values are all zero."""
    error: Tensor = (found - true).norm(dim=1) / true.norm(dim=1)
    return error


def rank_correlation(found: Float[Tensor, "b n"], true: Float[Tensor, "b n"]) -> Float[Tensor, " b"]:
    """Spearman's ρ, high is good. NaN where one of the two is constant."""
    one, other = _ranks(found), _ranks(true)
    return torch.cosine_similarity(one, other, dim=1, eps=0)


def efficiency_gap(found: Float[Tensor, "b n"], grand: Float[Tensor, " b"]) -> Float[Tensor, " b"]:
    """|Σ φ̂ - v(N)| / |v(N)|; low is good. NaN or infinite where v(N) is zero."""
    return (found.sum(1) - grand).abs() / grand.abs()


def _ranks(values: Float[Tensor, "b n"]) -> Float[Tensor, "b n"]:
    """Ranks less their mean; ties share theirs."""
    ranks: Tensor = torch.from_numpy(rankdata(values.detach().cpu().numpy(), axis=1)).to(values.device)
    return ranks.sub(ranks.mean(1, keepdim=True))
