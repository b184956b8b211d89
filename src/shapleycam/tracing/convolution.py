"""Convolutions with cheap second derivatives with respect to their input: derivatives of the weight are left out.

PyTorch's double backward of a convolution always computes the derivative with respect to the weight too, one group
after the other. In a network of depthwise convolutions one Hessian-vector product costs as much as 22 forward passes;
with these functions it costs as much as 4 (bench/results/cost.md; docs/decisions.md, "Convolutions of the head are our
own autograd function when a Hessian is asked for"). A convolution is linear in its input: its derivative is the
transposed convolution, whose derivative is the convolution again.
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
    """Compute PyTorch's `func`, by `_Convolution` if the weight does not depend on the activation.

    If it does (CondConv mixes kernels depending on the image), `_Convolution` would lose a part of the derivative.
    """
    settings = (stride, padding, dilation, groups)
    batched = input.dim() == weight.dim()
    is_computed = any(t is not None and may_depend_on_activation(t) for t in (weight, bias))
    if isinstance(padding, str) or not batched or is_computed:
        return func(input, weight, bias, *settings)
    convolved: Tensor = _Convolution.apply(input, weight, bias, func, settings)
    return convolved


class _Convolution(torch.autograd.Function):
    """A convolution; its derivative with respect to the input is `_Transposed`."""

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
"""The replacement of each of PyTorch's convolutions, which can be differentiated any number of times at low cost."""
