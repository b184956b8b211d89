"""Run a user's preprocessing, and take the image from what it returns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from shapleycam.errors import ImageError, ShapleyCamError
from shapleycam.gpu_failures import is_out_of_memory

_EXPECTED = "expected a function from an RGB PIL image to a floating-point tensor (c, h, w)"
_PIXELS = "pixel_values"
"""The image in what a processor of transformers returns."""


def processed_image(preprocess: Callable[[Image.Image], Any], photo: Image.Image) -> Float[Tensor, "c h w"]:
    """Return the image (c, h, w) that a preprocessing makes of an RGB photograph.

    It may return a tensor or an array, alone in a list or in a mapping as "pixel_values", with dimensions of size 1
    before (c, h, w): the batch of one image, its only tile or frame.

    Raises:
        ImageError: the preprocessing raises, or returns something else.

    Examples:
        >>> import torch
        >>> from PIL import Image
        >>> from shapleycam.models.processed_image import processed_image
        >>> processed_image(lambda photo: {"pixel_values": [torch.zeros(1, 3, 8, 8)]}, Image.new("RGB", (9, 9))).shape
        torch.Size([3, 8, 8])
    """
    try:
        result = preprocess(photo)
    except Exception as error:
        if isinstance(error, ShapleyCamError) or is_out_of_memory(error):
            raise
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise ImageError(
            f"preprocess= raised {reason}, for a photograph of {photo.width} x {photo.height} "
            f"pixels; {_EXPECTED}: its own error is the cause of this one"
        ) from error
    image = _only_part(result)
    if not isinstance(image, torch.Tensor):
        raise ImageError(f"preprocess= returned {_in_words(result)}; {_EXPECTED}")
    if image.dim() < 3 or image.shape[:-3].numel() != 1:
        raise ImageError(
            f"preprocess= returned shape {tuple(image.shape)}; {_EXPECTED}, one image of a photograph: no tiles or "
            "crops of it, and no rows of patches"
        )
    if not image.is_floating_point():
        raise ImageError(
            f"preprocess= returned {str(image.dtype).removeprefix('torch.')} numbers; {_EXPECTED}: scale the pixels "
            "as for the model's training, or make floats of them for a model that scales them itself"
        )
    if image.layout != torch.strided or image.is_meta:
        kind = "no numbers (device meta)" if image.is_meta else "layout " + str(image.layout).removeprefix("torch.")
        raise ImageError(f"preprocess= returned a tensor with {kind}; {_EXPECTED}, all numbers of it stored")
    return image.detach().reshape(image.shape[-3:])


def _only_part(result: Any) -> Any:
    """Return the tensor in a preprocessing's result, if it has only one for the image; otherwise what is there."""
    if isinstance(result, Mapping) and _PIXELS in result:
        return _only_part(result[_PIXELS])
    if isinstance(result, (list, tuple)) and len(result) == 1:
        return _only_part(result[0])
    if isinstance(result, np.ndarray) and result.dtype.kind in "fiub":
        return torch.from_numpy(np.array(result))  # a copy, as PyTorch warns of arrays that cannot be written
    return result


def _in_words(result: Any) -> str:
    kind = type(result).__name__
    if isinstance(result, Mapping):
        return f"a {kind} of {', '.join(map(repr, result)) or 'nothing'}, without {_PIXELS!r}"
    return f"a {kind} of {len(result)}" if isinstance(result, (list, tuple)) else kind
