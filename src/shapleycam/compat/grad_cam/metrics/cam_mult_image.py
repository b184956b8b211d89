"""pytorch-grad-cam's change of confidence when the image is multiplied by the map."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from torch import Tensor

from shapleycam.compat.grad_cam.metrics.perturbation_confidence import PerturbationConfidenceMetric


def multiply_tensor_with_cam(input_tensor: Float[Tensor, "c h w"], cam: Float[Tensor, "h w"]) -> Float[Tensor, "c h w"]:
    """Return the preprocessed image times the map."""
    return input_tensor * cam


class CamMultImageConfidenceChange(PerturbationConfidenceMetric):
    """How much the score grows when the image is multiplied by the map."""

    def __init__(self) -> None:
        super().__init__(multiply_tensor_with_cam)


class DropInConfidence(CamMultImageConfidenceChange):
    """How much the score falls; 0 where it grows."""

    def _measure(self, growth: Float[np.ndarray, "b"]) -> Float[np.ndarray, "b"]:
        fall: np.ndarray = np.maximum(-growth, 0)
        return fall


class IncreaseInConfidence(CamMultImageConfidenceChange):
    """1 where the score grows, otherwise 0."""

    def _measure(self, growth: Float[np.ndarray, "b"]) -> Float[np.ndarray, "b"]:
        return (growth > 0).astype(np.float32)
