"""torch-cam's extractors by the gradient."""

from __future__ import annotations

from typing import Unpack

from torch import Tensor, nn

from shapleycam.cams.noisy_gradients import DEVIATION, SAMPLES
from shapleycam.compat.torchcam.constants import check_constants
from shapleycam.compat.torchcam.extractor import IMAGE_SHAPE, Extractor, HookArguments, TargetLayer


class GradCAM(Extractor):
    """`gradcam`.

    Examples:
        >>> import torch
        >>> from shapleycam.compat.torchcam.methods import GradCAM
        >>> layers = torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()
        >>> model = torch.nn.Sequential(*layers)
        >>> with GradCAM(model, "1", input_shape=(3, 8, 8)) as extractor:
        ...     scores = model(torch.rand(2, 3, 8, 8))
        ...     extractor([2, 0], scores)[0].shape
        torch.Size([2, 6, 6])
    """

    method = "gradcam"


class GradCAMpp(Extractor):
    """`gradcam++`, with the denominator of its weights, which torch-cam 0.5 leaves out.

    Examples:
        >>> import torch
        >>> from shapleycam.compat.torchcam.methods import GradCAMpp
        >>> layers = torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()
        >>> model = torch.nn.Sequential(*layers)
        >>> with GradCAMpp(model, "1", input_shape=(3, 8, 8)) as extractor:
        ...     scores = model(torch.rand(2, 3, 8, 8))
        ...     extractor([2, 0], scores)[0].shape
        torch.Size([2, 6, 6])
    """

    method = "gradcam++"


class XGradCAM(Extractor):
    """`xgradcam`.

    Examples:
        >>> import torch
        >>> from shapleycam.compat.torchcam.methods import XGradCAM
        >>> layers = torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()
        >>> model = torch.nn.Sequential(*layers)
        >>> with XGradCAM(model, "1", input_shape=(3, 8, 8)) as extractor:
        ...     scores = model(torch.rand(2, 3, 8, 8))
        ...     extractor([2, 0], scores)[0].shape
        torch.Size([2, 6, 6])
    """

    method = "xgradcam"


class LayerCAM(Extractor):
    """`layercam`.

    Examples:
        >>> import torch
        >>> from shapleycam.compat.torchcam.methods import LayerCAM
        >>> layers = torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()
        >>> model = torch.nn.Sequential(*layers)
        >>> with LayerCAM(model, "1", input_shape=(3, 8, 8)) as extractor:
        ...     scores = model(torch.rand(2, 3, 8, 8))
        ...     extractor([2, 0], scores)[0].shape
        torch.Size([2, 6, 6])
    """

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
        hooks: `enable_hooks` and `reshape_transform`, as of `GradCAM`.

    Raises:
        OptionError: another number or deviation.

    Examples:
        >>> import torch
        >>> from shapleycam.compat.torchcam.methods import SmoothGradCAMpp
        >>> layers = torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()
        >>> model = torch.nn.Sequential(*layers)
        >>> with SmoothGradCAMpp(model, "1", input_shape=(3, 8, 8)) as extractor:
        ...     scores = model(torch.rand(2, 3, 8, 8))
        ...     extractor([2, 0], scores)[0].shape
        torch.Size([2, 6, 6])
    """

    method = "smoothgradcam++"
    is_of_scores = False

    def __init__(
        self,
        model: nn.Module,
        target_layer: TargetLayer = None,
        num_samples: int = SAMPLES,
        std: float = DEVIATION,
        input_shape: tuple[int, ...] = IMAGE_SHAPE,
        **hooks: Unpack[HookArguments],
    ) -> None:
        check_constants({"num_samples": num_samples, "std": std}, {"num_samples": SAMPLES, "std": DEVIATION})
        super().__init__(model, target_layer, input_shape, **hooks)
