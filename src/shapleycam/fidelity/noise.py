"""Correction of correlations for the noise of sampled values.

If two halves of the samples have the correlation r, the reliability of their mean is 2r / (1 + r) (Spearman 1910, Brown
1910): this is the fraction of the mean's variance over regions that is not noise. Noise makes a correlation with the
mean too small by the factor √reliability. The correlation is corrected by a division by this factor (correction for
attenuation: Spearman 1904, doi:10.2307/1412159). The correction is valid for Pearson's correlation. For Spearman's it
uses the rank correlation of the halves, and is a good approximation if all ranks have about the same noise.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from shapleycam.fidelity._split_values import SplitValues

LEAST_AGREEMENT = 0.5
"""Minimum correlation of the halves for a correction; with about fifty regions, smaller ones are too uncertain."""
Correlation: TypeAlias = "Callable[[Float[Tensor, 'b n'], Float[Tensor, 'b n']], Float[Tensor, ' b']]"


def reliability(values: SplitValues, correlation: Correlation) -> Float[Tensor, " b"]:
    """Return the fraction of the variance of values that is not noise; NaN where the halves agree too little.

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
    """Return the estimated correlation of values without noise; NaN where the halves agree too little.

    The result is not clamped, and may exceed 1 because of noise.

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
