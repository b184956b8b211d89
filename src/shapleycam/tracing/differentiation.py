"""Operations that are replaced wherever a model is differentiated, in this thread and from the layer on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from shapleycam.tracing.batchnorm import batch_norm, instance_norm
from shapleycam.tracing.convolution import CONVOLUTIONS

_ALWAYS: dict[Any, Callable[..., Any]] = {F.batch_norm: batch_norm, F.instance_norm: instance_norm}


def _torch_batch_norm(*args: Any) -> Any:
    values, weight, bias, mean, variance, training, momentum, eps, *_ = args
    return batch_norm(values, mean, variance, weight, bias, training, momentum, eps)


_ALWAYS[torch.batch_norm] = _torch_batch_norm  # the same function, with its arguments in another order


class Differentiation(TorchFunctionMode):
    """Inside, operations whose derivatives PyTorch gets wrong or makes dear are our own.

    `twice` replaces convolutions too, whose second derivatives are costly; see `trace.convolution`.
    """

    def __init__(self, *, twice: bool) -> None:
        super().__init__()
        self._replaced = {**_ALWAYS, **CONVOLUTIONS} if twice else _ALWAYS

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run our own function in the place of PyTorch's where there is one and a graph is recorded."""
        own = self._replaced.get(func)
        if own is not None and torch.is_grad_enabled():
            return own(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))
