"""How much of a correlation is lost to the noise of sampled values, and the correlation without that loss.

Two halves of the samples that agree with correlation r tell the reliability of their mean, 2r / (1 + r) (Spearman 1910,
Brown 1910): the share of its variance over the regions that is no noise. A correlation with the mean is too low by the
factor √reliability, and is divided by it (correction for attenuation: Spearman 1904, doi:10.2307/1412159). The
correction holds for Pearson's correlation; for Spearman's it is made of the ranks' own agreement, and is close where
ranks are as noisy everywhere.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from shapleycam.fidelity._split_values import SplitValues

LEAST_AGREEMENT = 0.5
"""The correlation of two halves below which nothing is corrected: with some fifty regions it is too unsure itself."""
Correlation: TypeAlias = "Callable[[Float[Tensor, 'b n'], Float[Tensor, 'b n']], Float[Tensor, ' b']]"


def reliability(values: SplitValues, correlation: Correlation) -> Float[Tensor, " b"]:
    """Return the share of the variance of values that is no noise; NaN where the halves agree too little to tell.

    Examples:
        >>> import torch
        >>> from shapleycam.fidelity import SplitValues
        >>> from shapleycam.fidelity.noise import reliability
        >>> from shapleycam.values.distance import linear_correlation
        >>> halves = torch.tensor([[1.0, -1.0, 0.0, 0.0]]), torch.tensor([[1.0, -1.0, 1.0, -1.0]])
        >>> split = SplitValues(*halves, runs=torch.tensor([96]), origin="sampled")
        >>> linear_correlation(*halves), reliability(split, linear_correlation)
        (tensor([0.7071]), tensor([0.8284]))
    """
    agreement = correlation(values.first, values.second)
    return torch.where(agreement >= LEAST_AGREEMENT, 2 * agreement / (1 + agreement), torch.nan)


def corrected_correlation(values: SplitValues, true: SplitValues, correlation: Correlation) -> Float[Tensor, " b"]:
    """Return the correlation that values without noise would have; NaN where it is not resolved.

    It is not clamped: noise may carry it above 1.

    Examples:
        >>> import torch
        >>> from shapleycam.fidelity import SplitValues
        >>> from shapleycam.fidelity.noise import corrected_correlation
        >>> from shapleycam.values.distance import linear_correlation
        >>> halves = torch.tensor([[1.0, -1.0, 0.5, -0.5]]), torch.tensor([[1.0, -1.0, -0.5, 0.5]])
        >>> noisy = SplitValues(*halves, runs=torch.tensor([96]), origin="sampled")
        >>> signal = SplitValues.exact(noisy.values, torch.tensor([16]), "exact")
        >>> corrected_correlation(signal, noisy, linear_correlation) > 1  # these halves share all of the mean's shape
        tensor([True])
    """
    observed = correlation(values.values, true.values)
    return observed / (reliability(values, correlation) * reliability(true, correlation)).sqrt()
