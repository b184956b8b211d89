"""pytorch-grad-cam's RefineCAM: the product of the maps of several layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from torch import Tensor, nn

from shapleycam.compat.grad_cam.base_cam import BaseCAM
from shapleycam.compat.grad_cam.methods import GradCAMPlusPlus


class RefineCAM:
    """The product of the maps of several layers: `fuse="product"` of `Explainer`."""

    def __init__(
        self,
        model: nn.Module,
        target_layers: Sequence[nn.Module],
        reshape_transform: Callable[[Any], Tensor] | None = None,
        base_method: type[BaseCAM] = GradCAMPlusPlus,
    ) -> None:
        self.base_cam = base_method(model, target_layers, reshape_transform, fuse="product")

    def __call__(
        self,
        input_tensor: Float[Tensor, "b *image"],
        targets: Sequence[Callable[[Any], Tensor]] | None = None,
        eigen_smooth: bool = False,
    ) -> Float[np.ndarray, "b *size"]:
        """Return the maps; arguments and errors as in `BaseCAM`."""
        return self.base_cam(input_tensor, targets, eigen_smooth=eigen_smooth)
