"""Convolutions whose second derivatives by their input are cheap, since the weight's are left out.

PyTorch's double backward of a convolution also computes the derivative by the weight, needed or not, and does so group
by group: behind depthwise convolutions one Hessian-vector product costs 22 forward passes, and 4 with these functions
(bench/results/cost.md; docs/decisions.md, "Convolutions of the head are our own autograd function when a Hessian is
asked for"). By its input alone a convolution is linear: its derivative is the transposed convolution, and the
derivative of that is the convolution again.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn import grad

from shapleycam.tracing.graph import may_depend_on_activation

_TRANSPOSED: dict[Any, Callable[..., Any]] = {
    F.conv1d: grad.conv1d_input,
    F.conv2d: grad.conv2d_input,
    F.conv3d: grad.conv3d_input,
}


def _convolve(
    func: Callable[..., Tensor],
    input: Tensor,  # noqa: A002  # PyTorch's own name for it
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    """Compute PyTorch's `func`, by `_Convolution` where the weight does not depend on the activation.

    Where it does (CondConv mixes kernels by content) that function would drop a part of the derivative.
    """
    settings = (stride, padding, dilation, groups)
    batched = input.dim() == weight.dim()
    is_computed = any(t is not None and may_depend_on_activation(t) for t in (weight, bias))
    if isinstance(padding, str) or not batched or is_computed:
        return func(input, weight, bias, *settings)
    convolved: Tensor = _Convolution.apply(input, weight, bias, func, settings)
    return convolved


class _Convolution(torch.autograd.Function):
    """A convolution; its derivative by the input is `_Transposed`."""

    @staticmethod
    def forward(
        ctx: Any, values: Tensor, weight: Tensor, bias: Tensor | None, func: Callable[..., Tensor], settings: Any
    ) -> Tensor:
        ctx.save_for_backward(weight)
        ctx.shape, ctx.func, ctx.settings = values.shape, func, settings
        return func(values, weight, bias, *settings)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        (weight,) = ctx.saved_tensors
        return _Transposed.apply(gradient, weight, ctx.shape, ctx.func, ctx.settings), None, None, None, None


class _Transposed(torch.autograd.Function):
    """A transposed convolution; its derivative is `_Convolution`."""

    @staticmethod
    def forward(
        ctx: Any, gradient: Tensor, weight: Tensor, shape: torch.Size, func: Callable[..., Tensor], settings: Any
    ) -> Tensor:
        ctx.save_for_backward(weight)
        ctx.func, ctx.settings = func, settings
        transposed: Tensor = _TRANSPOSED[func](shape, weight, gradient, *settings)
        return transposed

    @staticmethod
    def backward(ctx: Any, values: Tensor) -> Any:
        (weight,) = ctx.saved_tensors
        return _Convolution.apply(values, weight, None, ctx.func, ctx.settings), None, None, None, None


CONVOLUTIONS: dict[Any, Callable[..., Any]] = {func: partial(_convolve, func) for func in _TRANSPOSED}
"""From PyTorch's convolutions to the ones used here: cheaply differentiable by their input, any number of times."""
