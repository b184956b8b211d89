"""The operations that are replaced while a model is differentiated, in this thread and after the layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from shapleycam.tracing.batchnorm import batch_norm, instance_norm
from shapleycam.tracing.convolution import CONVOLUTIONS


def _torch_batch_norm(*args: Any) -> Any:
    """Compute `torch.batch_norm`: the same function as `F.batch_norm`, with another order of arguments."""
    values, weight, bias, mean, variance, training, momentum, eps, *_ = args
    return batch_norm(values, mean, variance, weight, bias, training, momentum, eps)


_NORMS: dict[Any, Callable[..., Any]] = {
    F.batch_norm: batch_norm,
    F.instance_norm: instance_norm,
    torch.batch_norm: _torch_batch_norm,
}


class Differentiation(TorchFunctionMode):
    """Context that replaces operations whose derivatives in PyTorch are wrong or expensive by this library's own.

    With `twice` it also replaces convolutions, whose second derivatives are expensive; see `tracing.convolution`.
    """

    def __init__(self, *, twice: bool) -> None:
        super().__init__()
        self._replacements = {**_NORMS, **CONVOLUTIONS} if twice else _NORMS

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the replacement of a function, if there is one and gradients are enabled."""
        replacement = self._replacements.get(func)
        if replacement is not None and torch.is_grad_enabled():
            return replacement(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))
