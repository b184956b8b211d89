"""Distances of estimated values from the true ones, one for each image, over its players."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def relative_error(values: Float[Tensor, "b n"], true: Float[Tensor, "b n"]) -> Float[Tensor, " b"]:
    """Return ‖φ̂ - φ‖ / ‖φ‖; low is good, and zeros have 1. NaN if the true values are all zero.

    Examples:
        >>> import torch
        >>> relative_error(torch.tensor([[3.0, 0.0]]), torch.tensor([[3.0, 4.0]]))
        tensor([0.8000])
    """
    error: Tensor = (values - true).norm(dim=1) / true.norm(dim=1)
    return error


def best_scale(values: Float[Tensor, "b n"], true: Float[Tensor, "b n"]) -> Float[Tensor, " b"]:
    """Return the a ≥ 0 with the smallest ‖a·φ̂ - φ‖.

    Examples:
        >>> import torch
        >>> from shapleycam.values.distance import best_scale
        >>> best_scale(torch.tensor([[6.0, 0.0], [1.0, 1.0]]), torch.tensor([[3.0, 4.0], [-1.0, -1.0]]))
        tensor([0.5000, 0.0000])
    """
    square = values.square().sum(1)
    return torch.where(square > 0, (values * true).sum(1) / square, 0.0).clamp(min=0)


def linear_correlation(values: Float[Tensor, "b n"], true: Float[Tensor, "b n"]) -> Float[Tensor, " b"]:
    """Return Pearson's r; high is good. NaN if one of the two is constant.

    Examples:
        >>> import torch
        >>> from shapleycam.values.distance import linear_correlation
        >>> linear_correlation(torch.tensor([[1.0, 5.0, 6.0]]), torch.tensor([[3.0, 11.0, 13.0]])).round(decimals=3)
        tensor([1.])
    """
    first, second = (numbers - numbers.mean(1, keepdim=True) for numbers in (values, true))
    is_constant = torch.stack([numbers.amin(1) == numbers.amax(1) for numbers in (values, true)]).any(0)
    # The mean of equal numbers may differ from them by rounding, which correlates with anything.
    return torch.where(is_constant, torch.nan, torch.cosine_similarity(first, second, dim=1, eps=0))


def rank_correlation(values: Float[Tensor, "b n"], true: Float[Tensor, "b n"]) -> Float[Tensor, " b"]:
    """Return Spearman's ρ; high is good. NaN if one of the two is constant.

    Examples:
        >>> import torch
        >>> rank_correlation(torch.tensor([[1.0, 5.0, 6.0]]), torch.tensor([[0.1, 0.2, 0.3]])).round(decimals=3)
        tensor([1.], dtype=torch.float64)
    """
    return torch.cosine_similarity(_centred_ranks(values), _centred_ranks(true), dim=1, eps=0)


def efficiency_gap(
    values: Float[Tensor, "b n"], grand: Float[Tensor, " b"], smallest: Float[Tensor, " b"] | None = None
) -> Float[Tensor, " b"]:
    """Return |Σ φ̂ - v(N)| / |v(N)| for estimated values φ̂ and v(N) = `grand`; low is good.

    `smallest` (b,) replaces |v(N)| in the denominator where it is larger, such as the rounding error of v(N). Without
    it the gap is NaN or infinite if v(N) is zero.

    Examples:
        >>> import torch
        >>> efficiency_gap(torch.tensor([[1.0, 2.0]]), torch.tensor([4.0]))
        tensor([0.2500])
    """
    size = grand.abs() if smallest is None else torch.maximum(grand.abs(), smallest)
    return (values.sum(1) - grand).abs() / size


def _centred_ranks(values: Float[Tensor, "b n"]) -> Float[Tensor, "b n"]:
    """Return ranks less their mean; ties have their mean rank."""
    from scipy.stats import rankdata  # imported here because it takes as long as numpy, Pillow and polars together

    ranks: Tensor = torch.from_numpy(rankdata(values.detach().cpu().numpy(), axis=1)).to(values.device)
    return ranks.sub(ranks.mean(1, keepdim=True))
