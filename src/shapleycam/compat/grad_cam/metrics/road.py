"""pytorch-grad-cam's ROAD (Rong et al. 2022, arXiv:2202.00449), with the imputation of `shapleycam.game`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from shapleycam.compat.grad_cam.metrics.perturbation_confidence import (
    AveragerAcrossThresholds,
    PerturbationConfidenceMetric,
    RemoveLeastRelevantFirst,
    RemoveMostRelevantFirst,
)
from shapleycam.game.imputation import impute

PERCENTILES = (10, 20, 30, 40, 50, 60, 70, 80, 90)
_EXACT = 1e-5
"""How far imputed pixels may be from the solution; pytorch-grad-cam solves directly."""


class NoisyLinearImputer:
    """Fills pixels in from their neighbours, and adds noise of PyTorch's own generator."""

    def __init__(self, noise: float = 0.01) -> None:
        self.noise = noise

    def __call__(self, img: Float[Tensor, "c h w"], mask: Float[Tensor, "h w"]) -> Float[Tensor, "c h w"]:
        """Return the image with the pixels filled in where the mask is 0."""
        removed = mask == 0
        filled = impute(img[None], removed[None], _EXACT)[0]
        noise = torch.randn(len(img), int(removed.sum()), dtype=torch.float32, device="cpu")
        filled[:, removed] += self.noise * noise.to(filled)
        return filled


class ROADMostRelevantFirst(PerturbationConfidenceMetric):
    """The growth of the score when the pixels at the percentile of heat or above are removed."""

    def __init__(self, percentile: float = 80) -> None:
        super().__init__(RemoveMostRelevantFirst(percentile, NoisyLinearImputer()))


class ROADLeastRelevantFirst(PerturbationConfidenceMetric):
    """The growth of the score when the coldest pixels are removed."""

    def __init__(self, percentile: float = 20) -> None:
        super().__init__(RemoveLeastRelevantFirst(percentile, NoisyLinearImputer()))


class ROADMostRelevantFirstAverage(AveragerAcrossThresholds):
    """The mean of `ROADMostRelevantFirst` over percentiles."""

    def __init__(self, percentiles: Sequence[int] = PERCENTILES) -> None:
        super().__init__(ROADMostRelevantFirst, percentiles)


class ROADLeastRelevantFirstAverage(AveragerAcrossThresholds):
    """The mean of `ROADLeastRelevantFirst` over percentiles."""

    def __init__(self, percentiles: Sequence[int] = PERCENTILES) -> None:
        super().__init__(ROADLeastRelevantFirst, percentiles)


class ROADCombined:
    """Half of the least relevant first less the most relevant first."""

    def __init__(self, percentiles: Sequence[int] = PERCENTILES) -> None:
        self.percentiles = percentiles
        self.morf_averager = ROADMostRelevantFirstAverage(percentiles)
        self.lerf_averager = ROADLeastRelevantFirstAverage(percentiles)

    def __call__(
        self,
        input_tensor: Float[Tensor, "b c h w"],
        cams: Float[np.ndarray, "b h w"],
        targets: Sequence[Callable[[Any], Tensor]],
        model: nn.Module,
    ) -> Float[np.ndarray, "b"]:
        """Return one number an image."""
        least_first = self.lerf_averager(input_tensor, cams, targets, model)
        combined: np.ndarray = (least_first - self.morf_averager(input_tensor, cams, targets, model)) / 2
        return combined
