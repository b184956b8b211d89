"""Detect reads of a tensor that no recorded operation shows: Python code detaches it, or reads its memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

_DETACHING = {Tensor.detach, Tensor.detach_, torch.detach, Tensor.data.__get__}  # type: ignore[attr-defined]
_READING = {
    *(Tensor.tolist, Tensor.numpy, Tensor.__array__, Tensor.__dlpack__, Tensor.data_ptr, Tensor.untyped_storage),
    *(Tensor.storage, Tensor.apply_, Tensor.map_, Tensor.map2_, Tensor.__repr__, Tensor.__format__),
    *(Tensor.__deepcopy__, Tensor.__reduce_ex__, Tensor.data.__set__, torch.tensor),  # type: ignore[attr-defined]
}
"""Calls that pass a tensor's memory or numbers to something else than an operation of PyTorch."""


class HiddenReads(TorchFunctionMode):
    """Context that records whether Python code detaches, or reads the memory of, a tensor from the activation.

    It works above the dispatcher, where it sees only calls of Python code: PyTorch's operations detach tensors too.

    Args:
        depends: returns whether its argument is a tensor that was computed from the activation.

    Attributes:
        are_seen: whether there was such a read.

    Examples:
        >>> import torch
        >>> from shapleycam.game.hidden_reads import HiddenReads
        >>> activation = torch.ones(2)
        >>> with HiddenReads(lambda operand: operand is activation) as hidden:
        ...     largest = max(activation.tolist())
        >>> hidden.are_seen
        True
    """

    def __init__(self, depends: Callable[[Any], bool]) -> None:
        super().__init__()
        self._depends = depends
        self.are_seen = False

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        # Under no_grad a detached tensor is not hidden: custom autograd functions detach in their forward pass.
        is_hidden = func in _READING or (func in _DETACHING and torch.is_grad_enabled())
        if is_hidden and args and self._depends(args[0]):
            self.are_seen = True
        return func(*args, **(kwargs or {}))
