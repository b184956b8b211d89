"""A check that images are a batch tensor, the only input that the other libraries' interfaces accept."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from shapleycam.errors import ImageError


def check_images(images: Any, name: str) -> None:
    """Refuse an argument that is not a batch of images; `name` is the argument's name in the message.

    Raises:
        ImageError: it is not a tensor, or does not have the dimensions of images or volumes.

    Examples:
        >>> import torch
        >>> from shapleycam.compat.images import check_images
        >>> check_images(torch.zeros(1, 3, 8, 8), "input_tensor")
    """
    if not isinstance(images, Tensor):
        raise ImageError(f"{name} is a {type(images).__name__}; expected preprocessed images, a tensor (b, c, h, w)")
    if images.dim() not in {4, 5}:
        raise ImageError(
            f"{name} has shape {tuple(images.shape)}; expected (b, c, h, w), or (b, c, d, h, w) for volumes: an image "
            "alone gets its first dimension by unsqueeze(0)"
        )
