"""pytorch-grad-cam's guided backpropagation."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from shapleycam.cams.guided_gradients import guided_gradient
from shapleycam.compat.grad_cam.utils.model_targets import ClassifierOutputTarget
from shapleycam.compat.images import check_images
from shapleycam.compat.questions import utility_of
from shapleycam.errors import ImageError, OptionError
from shapleycam.explaining.explainer import Explainer


class GuidedBackpropReLUModel:
    """The guided gradient by one image: `guidedbackprop` with its sign, of each channel of each pixel.

    Args:
        model: maps images (b, c, h, w) to scores (b, classes). It is left as it is found.
        device: where the model is; None for any. The model is not moved.

    Examples:
        >>> import torch
        >>> from shapleycam.compat.grad_cam import GuidedBackpropReLUModel
        >>> layers = torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()
        >>> gradient = GuidedBackpropReLUModel(torch.nn.Sequential(*layers))(torch.rand(1, 3, 8, 8), 2)
        >>> gradient.shape, gradient.dtype
        ((8, 8, 3), dtype('float32'))
    """

    def __init__(self, model: nn.Module, device: torch.device | str | None = None) -> None:
        self.model, self._explainer = model, Explainer(model, layer="input")
        weights = next(model.parameters(), None)
        if device is not None and weights is not None and weights.device.type != _device_type(device):
            raise OptionError(f"device={str(device)!r}, and the model is on {weights.device}; move the model itself")

    def __call__(
        self, input_img: Float[Tensor, "1 c h w"], target_category: int | None = None
    ) -> Float[np.ndarray, "h w c"]:
        """Return the guided gradient of the output `target_category` by the image; None for the largest output.

        Raises:
            ImageError: no image (1, c, h, w).
            OptionError: several images, or a model with other nonlinearities than ReLU, ReLU6 and max pooling.
        """
        check_images(input_img, "input_img")
        if input_img.dim() != 4:
            raise ImageError(f"input_img has shape {tuple(input_img.shape)}; expected one image, (1, c, h, w)")
        if len(input_img) != 1:
            raise OptionError(f"input_img has {len(input_img)} images; expected one: call it for each")
        targets = None if target_category is None else [ClassifierOutputTarget(target_category)]
        game = self._explainer.game(input_img.detach(), utility=utility_of(targets, 1))
        gradient: Float[np.ndarray, "h w c"] = guided_gradient(game)[0].permute(1, 2, 0).cpu().numpy()
        return gradient


def _device_type(device: torch.device | str) -> str:
    try:
        return torch.device(device).type
    except (RuntimeError, TypeError) as error:
        raise OptionError(f"device={str(device)!r}; expected the name of a device, as 'cpu' or 'cuda'") from error
