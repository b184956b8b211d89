"""Detect reads of a tensor by Python code that no recorded operation shows: of detached tensors, and of memory."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from shapleycam.tracing.memory_reads import NUMBERS_TAKEN, MemoryReads

_DETACHING = {Tensor.detach, Tensor.detach_, torch.detach, Tensor.data.__get__}  # type: ignore[attr-defined]
_READING = NUMBERS_TAKEN | {
    *(Tensor.data_ptr, Tensor.untyped_storage),
    *(Tensor.storage, Tensor.apply_, Tensor.map_, Tensor.map2_, Tensor.__repr__, Tensor.__format__),
    *(Tensor.__deepcopy__, Tensor.__reduce_ex__, Tensor.data.__set__),  # type: ignore[attr-defined]
}
"""Calls that give a tensor's memory or numbers to code other than operations of PyTorch."""


class HiddenReads(MemoryReads):
    """Context that sets `are_seen` if Python code detaches, or reads the memory of, a tensor from the activation.

    Examples:
        >>> import torch
        >>> from shapleycam.game.hidden_reads import HiddenReads
        >>> activation = torch.ones(2)
        >>> with HiddenReads(lambda operand: operand is activation) as hidden:
        ...     largest = max(activation.tolist())
        >>> hidden.are_seen
        True
    """

    def is_read(self, function: Any) -> bool:
        """Return whether a call of a function detaches its first argument or reads its memory."""
        # Without gradients there is nothing to detach. The forward of an autograd function runs without gradients, and
        # may detach: its own backward covers the result.
        return function in _READING or (function in _DETACHING and torch.is_grad_enabled())
