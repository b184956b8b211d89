"""Why a part of the image is segmented as it is: the mean utility of the output's pixels inside a mask."""

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
    """The mean over a mask of the class's `utility` at each pixel of an output (b, classes, h, w).

    `mask` is True (H, W), or (b, H, W) for one an image, where the question is; of the network's input or any size
    that covers it. None asks where the model itself sees the class. The target is by default the class with the
    largest mean probability there (without a mask, of the most pixels).

    Raises:
        OptionError: not a mask, an empty one, or an unknown utility; TargetError, when it is asked: no such output, or
            without a mask a class that is nowhere.
    """
    of_one, name = class_function(utility), resolve_utility(utility).name
    weights = None if mask is None else _weights(mask)
    return Utility(
        f"{name} inside the mask" if mask is not None else f"{name} where the class is seen",
        partial(_mean, of_one),
        f"mean of {name} over the mask",
        "why these pixels are of the class",
        reads="scores",
        needs_logits=resolve_utility(utility).needs_logits,
        multi_label=resolve_utility(utility).multi_label,
        scores=partial(_seen, weights),
        image_data=weights,
        make_image_data=_where_predicted if mask is None else None,
    )


def _weights(mask: Any) -> Tensor:
    given = torch.as_tensor(mask)
    if given.dim() not in {2, 3} or given.is_complex():
        raise OptionError(f"the mask has shape {tuple(given.shape)}; expected (H, W), or (b, H, W) for one an image")
    weights = (given != 0).float().reshape(-1, *given.shape[-2:])
    if not bool(weights.flatten(1).any(1).all()):
        raise OptionError("the mask is empty; expected at least one pixel that is True in each")
    return weights


def _mean(of_one: Any, output: Tensor, target: Tensor, weights: Tensor) -> Tensor:
    rows, _, height, width = _pixels(output).shape
    pixels = output.permute(0, 2, 3, 1).reshape(len(output) * height * width, -1)
    found: Tensor = of_one(pixels, target.repeat_interleave(height * width)).reshape(rows, height, width)
    return (found * _fitted(weights, (height, width))).sum((1, 2))


def _fitted(weights: Tensor, size: tuple[int, int]) -> Tensor:
    """Shares of the output's pixels in the mask, with sum 1."""
    coarse = (min(weights.shape[-2], size[0]), min(weights.shape[-1], size[1]))
    pooled = adaptive_avg_pool2d(weights[:, None], coarse)
    fitted = interpolate(pooled, size=size, mode="bilinear", align_corners=False)
    return (fitted / fitted.sum((2, 3), keepdim=True))[:, 0]


def _seen(weights: Tensor | None, output: Tensor, _: Labels) -> Tensor:
    """How much of each class (b, classes) the model sees in the mask, or anywhere."""
    scores = _pixels(output).detach().float()
    if weights is None:
        predicted = scores.argmax(1).flatten(1)
        counts = scores.new_zeros(len(scores), scores.shape[1])
        return counts.scatter_add(1, predicted, torch.ones_like(predicted, dtype=counts.dtype))
    shares = _fitted(weights.to(scores.device), (scores.shape[2], scores.shape[3]))
    return (scores.softmax(1) * shares[:, None]).sum((2, 3))


def _where_predicted(output: Tensor, target: Tensor, _: Labels) -> Tensor:
    mask = _pixels(output).detach().argmax(1) == target[:, None, None]
    missing = (~mask.flatten(1).any(1)).nonzero().flatten().tolist()
    if missing:
        raise TargetError(
            f"the model sees class {int(target[missing[0]])} nowhere in image {missing[0]}; give a mask, or a class "
            "that is there"
        )
    return mask.float()


def _pixels(output: Any) -> Tensor:
    """The class scores of pixels; of one logit those of no and yes."""
    if not isinstance(output, torch.Tensor) or output.dim() != 4:
        found = f"shape {tuple(output.shape)}" if isinstance(output, torch.Tensor) else f"type {type(output).__name__}"
        raise TargetError(f"the model's output has {found}; expected the class scores of pixels (b, classes, h, w)")
    return torch.cat([-output / 2, output / 2], 1) if output.shape[1] == 1 else output
