"""Reads of a tensor's memory by Python code, of which no operation of PyTorch is recorded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

NUMBERS_TAKEN = {Tensor.tolist, Tensor.numpy, Tensor.__array__, Tensor.__dlpack__, torch.tensor}
"""Calls that hand the numbers of a tensor to something else than an operation of PyTorch."""


class MemoryReads(TorchFunctionMode):
    """Notes in `are_seen` whether Python code takes the numbers of a tensor that depends on what is followed.

    It sits above the dispatcher, where only the code's own calls pass: PyTorch detaches inside its operations too.

    Args:
        depends: returns whether something is a tensor that was computed from what is followed.

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
        """Return whether a call of a function is such a read of its first argument."""
        return function in NUMBERS_TAKEN

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if self.is_read(func) and args and self._depends(args[0]):
            self.are_seen = True
        return func(*args, **(kwargs or {}))
