"""Greyscale photographs, for networks that take one channel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from PIL import Image
from torch import Tensor, nn

from shapleycam.errors import ImageError
from shapleycam.models.network import Transform
from shapleycam.models.preprocess import Preprocess
from shapleycam.models.processed_image import processed_image

_CONVOLUTIONS = (nn.Conv2d, nn.Conv3d)


def takes_greyscale(model: nn.Module) -> bool:
    """Return whether a model takes one-channel images: its first convolution does, and no convolution takes three."""
    channels = [module.in_channels for module in model.modules() if isinstance(module, _CONVOLUTIONS)]
    return bool(channels) and channels[0] == 1 and 3 not in channels


def to_greyscale(preprocess: Transform) -> Transform:
    """Return a preprocessing that converts the photograph to grey first, and returns one channel.

    If a `Preprocess` has the same mean and std for all channels, grey uses the same two numbers. Any other
    preprocessing is called with the grey photograph; if the three channels that it returns differ, the photograph is
    refused (docs/decisions.md, "A photograph becomes grey only where all channels are scaled alike").
    """
    if not isinstance(preprocess, Preprocess):
        return _Greyscale(preprocess)
    if len(preprocess.mean) == len(preprocess.std) == 1:
        return preprocess
    if len({*preprocess.mean}) == len({*preprocess.std}) == 1:
        return replace(preprocess, mean=preprocess.mean[:1], std=preprocess.std[:1])
    return _Greyscale(preprocess)


@dataclass(frozen=True)
class _Greyscale:
    """Applies any preprocessing to the grey photograph and returns one of the three equal channels."""

    preprocess: Callable[[Image.Image], Tensor]

    def __call__(self, photo: Image.Image) -> Tensor:
        image = processed_image(self.preprocess, photo.convert("L").convert("RGB"))
        if len(image) != 3:
            return image
        if not torch.equal(image[0], image[1]) or not torch.equal(image[0], image[2]):
            raise ImageError(
                "preprocess= makes 3 channels, each scaled in another way, and the model's first convolution takes 1; "
                "expected a preprocessing for grey: give shapleycam.Preprocess(..., mean=(0.5,), std=(0.5,)), say, or "
                "a function that returns (1, h, w)"
            )
        return image[:1]
