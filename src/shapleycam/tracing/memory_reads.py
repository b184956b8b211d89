"""Detect reads of a tensor's memory by Python code, which are not operations of PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

NUMBERS_TAKEN = {Tensor.tolist, Tensor.numpy, Tensor.__array__, Tensor.__dlpack__, torch.tensor}
"""Calls that give the numbers of a tensor to code other than operations of PyTorch."""


class MemoryReads(TorchFunctionMode):
    """Context that sets `are_seen` if Python code reads the numbers of a tracked tensor.

    It works above the dispatcher, where only calls from Python code arrive: PyTorch detaches inside its operations too.

    Args:
        depends: a function that returns whether an operand is a tracked tensor.

    Examples:
        >>> import torch
        >>> from shapleycam.tracing.memory_reads import MemoryReads
        >>> image = torch.ones(2)
        >>> with MemoryReads(lambda operand: operand is image) as reads:
        ...     largest = max(image.tolist())
        >>> reads.are_seen
        True
    """

    def __init__(self, depends: Callable[[Any], bool]) -> None:
        super().__init__()
        self._depends = depends
        self.are_seen = False

    def is_read(self, function: Any) -> bool:
        """Return whether a call of this function reads the numbers of its first argument."""
        return function in NUMBERS_TAKEN

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if self.is_read(func) and args and self._depends(args[0]):
            self.are_seen = True
        return func(*args, **(kwargs or {}))
