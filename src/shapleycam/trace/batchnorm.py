"""Batch norm in eval mode, as the affine map that it is.

PyTorch's CPU backward of batch norm in eval mode is wrong for one image whose gradient arrives with transposed strides
(docs/pytorch-batchnorm-backward.md). With fixed statistics the function is x·scale + shift in each channel, and so it
is computed wherever we differentiate.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F


class EvalBatchNorm(torch.autograd.Function):
    """x·scale + shift, one scale and shift a channel (axis 1); differentiable by x alone, any number of times."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        """Return the normed values; scale and shift have the shape (channels, 1, …)."""
        ctx.save_for_backward(scale)
        return torch.addcmul(shift, values, scale)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        """Return the gradient by the values."""
        (scale,) = ctx.saved_tensors
        return gradient * scale, None, None


def batch_norm(
    input: Tensor,  # noqa: A002  # PyTorch's own names
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,  # noqa: FBT001, FBT002
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """As `torch.nn.functional.batch_norm`; with fixed statistics as an affine map."""
    constants = [t for t in (running_mean, running_var, weight, bias) if t is not None]
    if training or running_mean is None or running_var is None or _are_computed(constants) or input.dim() < 2:
        return F.batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)
    return _affine(input, running_mean, running_var, weight, bias, eps)


def instance_norm(
    input: Tensor,  # noqa: A002
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,  # noqa: FBT001, FBT002
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """As `torch.nn.functional.instance_norm`; with fixed statistics as an affine map."""
    constants = [t for t in (running_mean, running_var, weight, bias) if t is not None]
    if use_input_stats or running_mean is None or running_var is None or _are_computed(constants) or input.dim() < 3:
        return F.instance_norm(input, running_mean, running_var, weight, bias, use_input_stats, momentum, eps)
    return _affine(input, running_mean, running_var, weight, bias, eps)


def _are_computed(tensors: list[Tensor]) -> bool:
    """Whether one was computed in the graph, so that it may depend on the activation."""
    return any(tensor.grad_fn is not None for tensor in tensors)


def _affine(
    values: Tensor, mean: Tensor, variance: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
) -> Tensor:
    with torch.no_grad():
        scale = torch.rsqrt(variance + eps)
        scale = scale if weight is None else scale * weight
        shift = -mean * scale if bias is None else bias - mean * scale
        shape = (-1, *[1] * (values.dim() - 2))
        scale, shift = scale.reshape(shape).to(values.dtype), shift.reshape(shape).to(values.dtype)
    normed: Tensor = EvalBatchNorm.apply(values, scale, shift)
    return normed
