"""pytorch-grad-cam's projections of activations on their first principal component."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float

from shapleycam.cams.spreads import FIRST_COMPONENT, KERNEL_COMPONENT, SALIENT_COMPONENT, Spread


def get_2d_projection(activation_batch: Float[np.ndarray, "b c *grid"]) -> Float[np.ndarray, "b *grid"]:
    """Return each position's place along the first principal component, as EigenCAM; NaN counts as 0."""
    return _project(FIRST_COMPONENT, activation_batch)


def get_2d_projection_kernel(activation_batch: Float[np.ndarray, "b c *grid"]) -> Float[np.ndarray, "b *grid"]:
    """Return the same by the sigmoid kernel of KPCA-CAM."""
    return _project(KERNEL_COMPONENT, activation_batch)


def get_2d_projection_with_sign_correction(
    activation_batch: Float[np.ndarray, "b c *grid"],
) -> Float[np.ndarray, "b *grid"]:
    """Return the same with its largest deviation positive, as in Seg-Eigen-CAM."""
    return _project(SALIENT_COMPONENT, activation_batch)


def _project(spread: Spread, activations: np.ndarray) -> Float[np.ndarray, "b *grid"]:
    positions = torch.from_numpy(np.nan_to_num(np.float32(activations))).flatten(2).mT
    projected: np.ndarray = spread(positions, torch.ones_like(positions)).numpy()
    return projected.reshape(len(activations), *activations.shape[2:])
