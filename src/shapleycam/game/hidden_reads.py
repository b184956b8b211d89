"""Reads of a tensor by Python code that no recorded operation shows: detached tensors, and memory that is read."""

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
"""Calls that hand a tensor's memory, or numbers of it, to something else than an operation of PyTorch."""


class HiddenReads(TorchFunctionMode):
    """Notes in `are_seen` whether Python code detaches what depends on the activation, or reads its memory.

    It sits above the dispatcher, where only the code's own calls pass: PyTorch detaches inside its operations too.

    Args:
        depends: returns whether something is a tensor that was computed from the activation.

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
        # Without gradients nothing is left to detach: the forward of a function with its own backward does so.
        is_hidden = func in _READING or (func in _DETACHING and torch.is_grad_enabled())
        if is_hidden and args and self._depends(args[0]):
            self.are_seen = True
        return func(*args, **(kwargs or {}))
