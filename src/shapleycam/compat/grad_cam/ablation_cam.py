"""pytorch-grad-cam's AblationCAM, with the arguments by which that removes channels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor, nn

from shapleycam.compat.grad_cam.ablation_layer import AblationLayer
from shapleycam.compat.grad_cam.base_cam import BaseCAM
from shapleycam.errors import OptionError


class AblationCAM(BaseCAM):
    """`ablationcam`: a channel that is removed is zero, as in the paper.

    Args:
        model: as of `BaseCAM`.
        target_layers: as of `BaseCAM`.
        reshape_transform: as of `BaseCAM`.
        ablation_layer: not needed, as positions and channels are known of the layer.
        batch_size: not needed, as batches are as large as fits into memory.
        ratio_channels_to_ablate: 1, all channels.
        fuse: as of `BaseCAM`.

    Raises:
        OptionError: another share of the channels.

    Examples:
        >>> import torch
        >>> from shapleycam.compat.grad_cam import AblationCAM
        >>> model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
        >>> AblationCAM(model, [model[0]])(torch.rand(2, 3, 8, 8)).shape
        (2, 8, 8)
    """

    method = "ablationcam"

    def __init__(
        self,
        model: nn.Module,
        target_layers: Sequence[nn.Module],
        reshape_transform: Callable[[Any], Tensor] | None = None,
        ablation_layer: AblationLayer | None = None,
        batch_size: int = 32,
        ratio_channels_to_ablate: float = 1.0,
        *,
        fuse: str = "mean",
    ) -> None:
        if ratio_channels_to_ablate != 1:
            raise OptionError(
                f"ratio_channels_to_ablate is {ratio_channels_to_ablate}; expected 1: all channels are removed "
                "in turn, which takes no pass of the model each"
            )
        super().__init__(model, target_layers, reshape_transform, fuse=fuse)
        self.ablation_layer, self.batch_size = ablation_layer, batch_size
