"""`inside`: the question why a part of the image is segmented as it is; the mean utility of the pixels in a mask."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, interpolate

from shapleycam.errors import OptionError, TargetError
from shapleycam.utilities.table import class_function, resolve_utility
from shapleycam.utilities.utility import Function, Labels, Utility


def inside(mask: Any = None, utility: str | Utility | Function = "rest") -> Utility:
    """Return the mean over a mask of the class's `utility` at each pixel of an output (b, classes, h, w).

    The default target is the class with the largest mean probability in the mask; without a mask, the class that is
    predicted for most pixels.

    Args:
        mask: True for the pixels to explain, (H, W), or (b, H, W) with one mask for each image. It covers the network's
            input, and may have any size. None takes the pixels for which the model predicts the class.
        utility: the utility of each pixel.

    Raises:
        OptionError: it is not a mask, the mask is empty, or the utility is unknown.
        TargetError: when the utility is used: the output has no such shape, or, without a mask, the class is predicted
            for no pixel.

    Examples:
        >>> import torch
        >>> from shapleycam.utilities import inside
        >>> logits = torch.tensor([[[[0.0, 0.0]], [[1.0, 5.0]]]])  # (1 image, 2 classes, 1 row, 2 columns)
        >>> target = torch.tensor([1])
        >>> inside([[True, False]], "logit").with_image_data(logits, target, None)(logits, target)
        tensor([1.])
    """
    pixel_function, resolved = class_function(utility), resolve_utility(utility)
    weights = None if mask is None else _mask_weights(mask)
    name = resolved.name
    return Utility(
        f"{name} inside the mask" if mask is not None else f"{name} where the class is seen",
        partial(_mean_utility, pixel_function),
        f"mean of {name} over the mask",
        "why these pixels are of the class",
        reads="scores",
        needs_logits=resolved.needs_logits,
        multi_label=resolved.multi_label,
        scores=partial(_scores_in_mask, weights),
        image_data=weights,
        make_image_data=_predicted_mask if mask is None else None,
    )


def _mask_weights(mask: Any) -> Tensor:
    """Return the user's mask as weights (1 or b, H, W) of 0 and 1."""
    tensor = torch.as_tensor(mask, device="cpu")
    if tensor.dim() not in {2, 3} or tensor.is_complex():
        raise OptionError(f"the mask has shape {tuple(tensor.shape)}; expected (H, W), or (b, H, W) for one an image")
    weights = (tensor != 0).float().reshape(-1, *tensor.shape[-2:])
    if not bool(weights.flatten(1).any(1).all()):
        raise OptionError("the mask is empty; expected at least one pixel that is True in each")
    return weights


def _mean_utility(pixel_function: Any, output: Tensor, target: Tensor, weights: Tensor) -> Tensor:
    """Return the weighted mean of the utility over all pixels: the function of the utility."""
    rows, _, height, width = _pixel_scores(output).shape
    pixels = output.permute(0, 2, 3, 1).reshape(len(output) * height * width, -1)
    utilities: Tensor = pixel_function(pixels, target.repeat_interleave(height * width)).reshape(rows, height, width)
    return (utilities * _resize_weights(weights, (height, width))).sum((1, 2))


def _resize_weights(weights: Tensor, size: tuple[int, int]) -> Tensor:
    """Return the weights at the output's size, with sum 1."""
    pooled_size = (min(weights.shape[-2], size[0]), min(weights.shape[-1], size[1]))
    pooled = adaptive_avg_pool2d(weights[:, None], pooled_size)
    resized = interpolate(pooled, size=size, mode="bilinear", align_corners=False)
    return (resized / resized.sum((2, 3), keepdim=True))[:, 0]


def _scores_in_mask(weights: Tensor | None, output: Tensor, _: Labels) -> Tensor:
    """Return the mean probability of each class in the mask (b, classes); without a mask, its number of pixels."""
    scores = _pixel_scores(output).detach().float()
    if weights is None:
        predicted = scores.argmax(1).flatten(1)
        counts = scores.new_zeros(len(scores), scores.shape[1])
        return counts.scatter_add(1, predicted, torch.ones_like(predicted, dtype=counts.dtype))
    shares = _resize_weights(weights.to(scores.device), (scores.shape[2], scores.shape[3]))
    return (scores.softmax(1) * shares[:, None]).sum((2, 3))


def _predicted_mask(output: Tensor, target: Tensor, _: Labels) -> Tensor:
    """Return the pixels (b, h, w) that the model predicts the target class for."""
    mask = _pixel_scores(output).detach().argmax(1) == target[:, None, None]
    missing = (~mask.flatten(1).any(1)).nonzero().flatten().tolist()
    if missing:
        raise TargetError(
            f"the model sees class {int(target[missing[0]])} nowhere in image {missing[0]}; give a mask, or a class "
            "that is there"
        )
    return mask.float()


def _pixel_scores(output: Any) -> Tensor:
    """Return the class scores of pixels (b, classes, h, w); a single logit becomes the scores of no and yes."""
    if not isinstance(output, torch.Tensor) or output.dim() != 4:
        shape = f"shape {tuple(output.shape)}" if isinstance(output, torch.Tensor) else f"type {type(output).__name__}"
        raise TargetError(f"the model's output has {shape}; expected the class scores of pixels (b, classes, h, w)")
    return torch.cat([-output / 2, output / 2], 1) if output.shape[1] == 1 else output
