"""pytorch-grad-cam's ARCC: the harmonic mean of coherency, simplicity and ROAD, by the metrics of `shapleycam`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from shapleycam.compat.grad_cam.metrics.road import ROADCombined
from shapleycam.metrics.confidence import arcc
from shapleycam.metrics.maps import coherency, complexity


class ARCC:
    """The harmonic mean of coherency, 1 less complexity, and twice ROAD, clipped to [0, 1]."""

    def __init__(
        self, base_method: Callable[..., np.ndarray], road_percentiles: Sequence[int] = (20, 40, 60, 80)
    ) -> None:
        self.base_method = base_method
        self.road = ROADCombined(percentiles=road_percentiles)

    def __call__(
        self,
        input_tensor: Float[Tensor, "b c h w"],
        grayscale_cams: Float[np.ndarray, "b h w"],
        targets: Sequence[Callable[[Any], Tensor]],
        model: nn.Module,
    ) -> Float[np.ndarray, "b"]:
        """Return one number an image; 0 where one of the three is 0."""
        maps = torch.from_numpy(grayscale_cams)
        kept = self.base_method(input_tensor=input_tensor * maps[:, None].to(input_tensor), targets=targets)
        road = torch.from_numpy(self.road(input_tensor, grayscale_cams, targets, model))
        measured: np.ndarray = arcc(coherency(maps, torch.from_numpy(kept)), complexity(maps), road).numpy()
        return measured
