"""Refuse outputs that cannot be explained (empty, NaN or infinite), with an error that names the cause."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from shapleycam.errors import ModelError


def empty_output_error(model: nn.Module) -> ModelError:
    """Return the error for a model that detects nothing: there is nothing to explain."""
    return ModelError(
        f"the model ({type(model).__name__}) returns only empty tensors for these images: it detects nothing; lower "
        "its score threshold, or give images in which it detects something"
    )


def check_output(output: Tensor, model: nn.Module) -> None:
    """Refuse NaN and +infinity in an output. A logit of -infinity is allowed: the model excludes this class.

    Raises:
        ModelError: as `check_finite`.
    """
    is_masked = output.detach() == -torch.inf
    check_finite(output.detach().masked_fill(is_masked, 0), model, "the output")


def check_finite(tensor: Tensor, model: nn.Module, description: str) -> None:
    """Refuse NaN and infinity in a tensor; `description` is its name in the error message.

    Raises:
        ModelError: the tensor contains NaN or infinity. The message names the images, and a weight that is not finite
            if there is one.
    """
    if not tensor.numel():
        return
    low, high = tensor.detach().aminmax()
    if bool(torch.isfinite(low) & torch.isfinite(high)):
        return
    rows = tensor.detach().reshape(len(tensor) if tensor.dim() else 1, -1)
    bad_rows = (~torch.isfinite(rows)).any(1).nonzero().flatten().tolist()
    weights = (*model.named_parameters(), *model.named_buffers())
    bad_weight = next((name for name, weight in weights if not torch.isfinite(weight).all()), None)
    cause = (
        f"the weight {bad_weight!r} is not finite: get or train the weights again"
        if bad_weight
        else "the weights are finite: check the preprocessing and the precision of the numbers"
    )
    images = ", ".join(map(str, bad_rows))
    raise ModelError(f"{description} holds NaN or infinity for image {images} of the batch; {cause}")
