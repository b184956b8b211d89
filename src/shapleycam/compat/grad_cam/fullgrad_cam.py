"""pytorch-grad-cam's FullGrad, which has no target layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor, nn

from shapleycam.compat.grad_cam.base_cam import BaseCAM


class FullGrad(BaseCAM):
    """`fullgrad` at the resolution of the image; as in pytorch-grad-cam `target_layers` have no effect."""

    method = "fullgrad"

    def __init__(
        self,
        model: nn.Module,
        target_layers: Sequence[nn.Module] = (),
        reshape_transform: Callable[[Any], Tensor] | None = None,
    ) -> None:
        del target_layers, reshape_transform
        super().__init__(model, ["input"])
