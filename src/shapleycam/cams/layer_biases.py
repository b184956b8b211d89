"""The constant that a layer's function adds to each channel: a bias, or the offset of a norm with fixed statistics."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from inspect import signature
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

_CONVOLUTIONS = {
    *(F.conv1d, F.conv2d, F.conv3d, F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d, torch.convolution),
}
_FIXED_NORMS = {
    F.batch_norm: ("input", "weight", "bias", "running_mean", "training"),
    F.instance_norm: ("input", "weight", "bias", "running_mean", "use_input_stats"),
}
"""Norms of `torch.nn.functional`, with the names of the arguments that are read."""
_CORE_NORMS = (torch.batch_norm, torch.instance_norm)
"""Norms with positional arguments (input, weight, bias, mean, variance, whether to use the input's statistics, ...)."""
_BIAS_PLACES = {F.linear: 2, F.bilinear: 3, torch.layer_norm: 3, torch.group_norm: 3, F.layer_norm: 3, F.group_norm: 3}
_CHANNELS_SECOND = {F.group_norm, torch.group_norm}
_SIGNS_OF_ADDED = {
    **dict.fromkeys([torch.add, *(getattr(Tensor, name) for name in ("add", "add_", "__add__", "__radd__"))], 1),
    **dict.fromkeys([Tensor.__iadd__, torch.rsub, Tensor.__rsub__], 1),
    **dict.fromkeys([torch.sub, *(getattr(Tensor, name) for name in ("sub", "sub_", "__sub__", "__isub__"))], -1),
}


@dataclass(frozen=True)
class Bias:
    """The constant that is added: `values`, which broadcast to the function's result, and the axis of its channels."""

    values: Tensor
    channel_axis: int


def bias_of(func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any], value: Tensor) -> Bias | None:
    """Return the constant that a function with result `value` added to each channel; None if it adds no such constant.

    Examples:
        >>> import torch
        >>> from shapleycam.cams.layer_biases import bias_of
        >>> image = torch.zeros(1, 2, 4, 4, requires_grad=True)
        >>> bias_of(torch.add, (image, torch.ones(2, 1, 1)), {}, image).channel_axis
        1
    """
    core = _core_function(func)
    if core in _CONVOLUTIONS:
        weight, bias = _argument(args, kwargs, 1, "weight"), _argument(args, kwargs, 2, "bias")
        axis = value.dim() - weight.dim() + 1  # 1, or 0 for an image without a batch axis
        return None if bias is None else Bias(_at_axis(bias, axis, value), axis)
    if core in _FIXED_NORMS or core in _CORE_NORMS:
        return _norm_bias(core, args, kwargs, value)
    if core in _BIAS_PLACES:
        bias = _argument(args, kwargs, _BIAS_PLACES[core], "bias")
        if bias is None or bias.dim() > 1:  # no bias, or the bias of a norm over channels and positions
            return None if bias is None else Bias(bias, 1)
        is_second = core in _CHANNELS_SECOND
        return Bias(_at_axis(bias, 1, value), 1) if is_second else Bias(bias, value.dim() - 1)
    if core in (torch.addmm, Tensor.addmm):
        bias, scale = _argument(args, kwargs, 0, "input"), kwargs.get("beta", 1)
        return None if bias.requires_grad or bias.dim() > 1 else Bias(scale * bias, value.dim() - 1)
    return _added(args, kwargs, _SIGNS_OF_ADDED[core], value) if core in _SIGNS_OF_ADDED else None


def _core_function(func: Any) -> Any:
    """Return PyTorch's function for an operator of an exported model: torch.conv2d for aten.conv2d.default."""
    packet = getattr(func, "overloadpacket", func)
    if not isinstance(packet, torch._ops.OpOverloadPacket):  # noqa: SLF001  # no public name
        return func
    name = packet.__name__
    return F.linear if name == "linear" else getattr(torch, name, func)


def _argument(args: tuple[Any, ...], kwargs: Mapping[str, Any], place: int, name: str) -> Any:
    return kwargs.get(name, args[place] if len(args) > place else None)


def _at_axis(bias: Tensor, axis: int, value: Tensor) -> Tensor:
    return bias.reshape(-1, *[1] * (value.dim() - axis - 1))


def _norm_bias(func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], value: Tensor) -> Bias | None:
    """Return the bias of a norm; with fixed statistics this is the norm's result for zeros (1, channels, 1, ...)."""
    if func in _CORE_NORMS:
        values, _, bias, mean, _, uses_input = args[:6]
        of_zeros: Callable[[Tensor], Tensor] = lambda zeros: func(zeros, *args[1:], **kwargs)  # noqa: E731
    else:
        bound = signature(func).bind(*args, **kwargs)
        bound.apply_defaults()
        values, _, bias, mean, uses_input = (bound.arguments[name] for name in _FIXED_NORMS[func])
        of_zeros = lambda zeros: func(**{**bound.arguments, "input": zeros})  # noqa: E731
    if mean is None or uses_input:
        return None if bias is None else Bias(_at_axis(bias, 1, value), 1)
    return Bias(of_zeros(values.detach().new_zeros(1, values.shape[1], *[1] * (values.dim() - 2))), 1)


def _added(args: tuple[Any, ...], kwargs: Mapping[str, Any], sign: int, value: Tensor) -> Bias | None:
    """Return an added constant with one number for each channel: (k, 1, 1) with channels second, or (k,)."""
    first, second = _argument(args, kwargs, 0, "input"), _argument(args, kwargs, 1, "other")
    if not (isinstance(first, Tensor) and isinstance(second, Tensor)) or first.requires_grad == second.requires_grad:
        return None
    constant, factor = (second, sign * kwargs.get("alpha", 1)) if first.requires_grad else (first, 1)
    if not constant.is_floating_point() or constant.numel() < 2 or constant.numel() != max(constant.shape):
        return None
    axis = value.dim() - constant.dim() + constant.shape.index(constant.numel())
    is_channels = axis == 1 if constant.dim() > 1 else axis == value.dim() - 1
    return Bias(factor * constant, axis) if is_channels else None
