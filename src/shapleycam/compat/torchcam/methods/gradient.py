"""torch-cam's extractors by the gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from shapleycam.cams.noisy_gradients import DEVIATION, SAMPLES
from shapleycam.compat.torchcam.constants import check_constants
from shapleycam.compat.torchcam.extractor import Extractor


class GradCAM(Extractor):
    """`gradcam`."""

    method = "gradcam"


class GradCAMpp(Extractor):
    """`gradcam++`, with the denominator of its weights, which torch-cam 0.5 leaves out."""

    method = "gradcam++"


class XGradCAM(Extractor):
    """`xgradcam`."""

    method = "xgradcam"


class LayerCAM(Extractor):
    """`layercam`."""

    method = "layercam"

    @staticmethod
    def _scale(cam: Tensor) -> Tensor:
        """Return tanh(2 cam): equation 9 of the paper."""
        return (2 * cam).tanh()


class SmoothGradCAMpp(Extractor):
    """`smoothgradcam++`: its noise is drawn from each image's content.

    Args:
        model: as of `GradCAM`.
        target_layer: as of `GradCAM`.
        num_samples: 4 noisy images.
        std: 0.3, the noise's standard deviation.
        input_shape: as of `GradCAM`.
        enable_hooks: as of `GradCAM`.
        reshape_transform: as of `GradCAM`.

    Raises:
        OptionError: another number or deviation.
    """

    method = "smoothgradcam++"
    is_of_scores = False

    def __init__(
        self,
        model: nn.Module,
        target_layer: nn.Module | str | list[nn.Module | str] | None = None,
        num_samples: int = SAMPLES,
        std: float = DEVIATION,
        input_shape: tuple[int, ...] = (3, 224, 224),
        enable_hooks: bool = True,
        reshape_transform: Callable[[Any], Tensor] | None = None,
    ) -> None:
        check_constants({"num_samples": num_samples, "std": std}, {"num_samples": SAMPLES, "std": DEVIATION})
        super().__init__(model, target_layer, input_shape, enable_hooks, reshape_transform)
