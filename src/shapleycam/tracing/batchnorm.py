"""Batch norm and instance norm with correct derivatives: with fixed statistics they are affine maps.

PyTorch's CPU backward of batch norm and instance norm is wrong for one image if the incoming gradient has transposed
strides (docs/pytorch-batchnorm-backward.md). With fixed statistics the function is x·scale + shift in each channel; it
is computed in this way wherever a model is differentiated.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from shapleycam.tracing.graph import may_depend_on_activation


class EvalBatchNorm(torch.autograd.Function):
    """The function x·scale + shift, with one scale and one shift for each channel (axis 1).

    It is differentiable with respect to x only, any number of times.
    """

    @staticmethod
    def forward(ctx: Any, values: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        """Return the normed values; scale and shift have the shape (channels, 1, …)."""
        ctx.save_for_backward(scale)
        return torch.addcmul(shift, values, scale)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        """Return the gradient with respect to the values."""
        (scale,) = ctx.saved_tensors
        return gradient * scale, None, None


def is_eval_batch_norm(node: Any) -> bool:
    """Return whether a node of autograd's graph belongs to `EvalBatchNorm`, not to a user's function of this name."""
    return getattr(type(node), "_forward_cls", None) is EvalBatchNorm


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
    """Compute `torch.nn.functional.batch_norm`; with fixed statistics as an affine map."""
    if input.dim() < 2 or (training and running_mean is not None):  # PyTorch's own updates the running statistics
        return F.batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)
    if training or running_mean is None or running_var is None:
        return _by_own_statistics(input, (0, *range(2, input.dim())), weight, bias, eps)
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
    """Compute `torch.nn.functional.instance_norm`, whose backward in PyTorch has the same fault as batch norm's.

    With fixed statistics it is an affine map; with the statistics of each image it is computed from mean and variance.
    """
    if input.dim() < 3 or (use_input_stats and running_mean is not None):
        return F.instance_norm(input, running_mean, running_var, weight, bias, use_input_stats, momentum, eps)
    if use_input_stats or running_mean is None or running_var is None:
        return _by_own_statistics(input, tuple(range(2, input.dim())), weight, bias, eps)
    return _affine(input, running_mean, running_var, weight, bias, eps)


def _by_channel(numbers: Tensor, values: Tensor) -> Tensor:
    return numbers.reshape(-1, *[1] * (values.dim() - 2))


def _affine(
    values: Tensor, mean: Tensor, variance: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
) -> Tensor:
    is_computed = any(t is not None and may_depend_on_activation(t) for t in (mean, variance, weight, bias))
    with torch.set_grad_enabled(is_computed):  # conditional batch norms have scales that depend on the activation
        scale = torch.rsqrt(variance + eps)
        scale = scale if weight is None else scale * weight
        shift = -mean * scale if bias is None else bias - mean * scale
        scale, shift = (_by_channel(numbers, values).to(values.dtype) for numbers in (scale, shift))
    if is_computed:
        return values * scale + shift
    normed: Tensor = EvalBatchNorm.apply(values, scale, shift)
    return normed


def _by_own_statistics(
    values: Tensor, dims: tuple[int, ...], weight: Tensor | None, bias: Tensor | None, eps: float
) -> Tensor:
    variance, mean = torch.var_mean(values, dims, correction=0, keepdim=True)
    normed = (values - mean) * torch.rsqrt(variance + eps)
    normed = normed if weight is None else normed * _by_channel(weight, values)
    return normed if bias is None else normed + _by_channel(bias, values)
