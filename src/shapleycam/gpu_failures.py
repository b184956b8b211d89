"""Recognising errors of the device, not of the model: its memory is full, or it has failed."""

from __future__ import annotations

import re

import torch

from shapleycam.errors import OptionError
from shapleycam.wording import first_line

_FULL = re.compile(
    r"out of memory|can't allocate memory|not enough memory|(CUBLAS|CUDNN|CUSOLVER)_STATUS_(ALLOC_FAILED|NO_MEMORY)",
    re.IGNORECASE,
)
"""Messages of PyTorch, cuBLAS and cuDNN if memory is full; they have no common error class."""
_FAILED = re.compile(r"CUDA error|device-side assert|CUDNN_STATUS_(EXECUTION_FAILED|INTERNAL_ERROR)", re.IGNORECASE)


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that the memory of a GPU or of the machine is full.

    Examples:
        >>> is_out_of_memory(RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate(handle)"))
        True
        >>> is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
        False
    """
    if isinstance(error, (torch.cuda.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and _FULL.search(str(error)) is not None


def describe_device_failure(error: BaseException) -> str | None:
    """Return a one-line message for an error of the device, and None for any other error.

    Examples:
        >>> describe_device_failure(RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has ..."))
        "the memory is full (CUDA out of memory); use a smaller batch_size= or memory=, or device='cpu'"
    """
    reason = first_line(error).partition(". ")[0].rstrip(".")
    if is_out_of_memory(error):
        return f"the memory is full ({reason}); use a smaller batch_size= or memory=, or device='cpu'"
    if isinstance(error, RuntimeError) and _FAILED.search(str(error)):
        return _failed(reason)
    return None


def refuse_failed_gpu() -> None:
    """Refuse to go on if the GPU has failed, because every further call would fail too, for any image.

    Raises:
        OptionError: the GPU does not work any more in this process.
    """
    if not torch.cuda.is_initialized():
        return
    try:
        torch.cuda.synchronize()
    except RuntimeError as error:
        raise OptionError(_failed(first_line(error))) from error


def _failed(reason: str) -> str:
    return (
        f"the GPU failed ({reason}), and does nothing more for this process; start it again, with device='cpu' to see "
        "whether the model is the cause: what a run has written is kept"
    )
