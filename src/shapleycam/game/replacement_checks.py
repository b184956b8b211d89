"""Checks of a tensor R that replaces absent content."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from shapleycam.errors import OptionError
from shapleycam.models.layout import Layout


def check_numbers(tensor: Any, what: str) -> None:
    """Refuse anything but a tensor of finite floating-point numbers.

    Raises:
        OptionError: it is something else; the message says what.
    """
    if not isinstance(tensor, torch.Tensor):
        raise OptionError(f"{what} is a {type(tensor).__name__}; expected a tensor like the layer's activation")
    if not tensor.is_floating_point() or tensor.layout != torch.strided or tensor.is_meta:
        kind = "device meta" if tensor.is_meta else f"{tensor.dtype}, {tensor.layout}"
        raise OptionError(f"{what} is a tensor of {kind}; expected stored floating-point numbers (torch.strided)")
    if not bool(torch.isfinite(tensor).all()):
        raise OptionError(f"{what} holds NaN or infinity; expected finite numbers")


def like_activation(replacement: Any, activation: Tensor, layout: Layout, what: str) -> Tensor:
    """Return R as a tensor of the activation's shape, precision and device.

    Raises:
        OptionError: it cannot be expanded to the activation's shape, or is not finite and floating-point.
    """
    check_numbers(replacement, what)
    given, shape = tuple(replacement.shape), tuple(activation.shape)
    if len(given) == 1 and given[0] == layout.positions(activation[:1]).shape[2]:
        replacement = layout.single_position(replacement[None])
    elif len(given) == len(shape) - 1:
        replacement = replacement[None]
    try:
        expanded = replacement.expand(shape) if replacement.dim() == len(shape) else None
    except RuntimeError:
        expanded = None
    if expanded is None:
        channels = layout.positions(activation[:1]).shape[2]
        raise OptionError(
            f"{what} has shape {given}; expected the activation's, {shape}, or {shape[1:]} for all images, or "
            f"({channels},), its channels"
        )
    like: Tensor = expanded.detach().to(activation.device, activation.dtype).clone()
    check_numbers(like, f"{what}, in the activation's precision ({activation.dtype}),")
    return like
