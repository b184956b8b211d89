"""Floating-point formats: half precision is converted to float32 first, and sums use float64 if possible."""

from __future__ import annotations

import torch
from torch import Tensor

HALF = frozenset({torch.float16, torch.bfloat16})
"""Formats in which derivatives and sums lose too many digits (docs/decisions.md, "Half precision is widened")."""


def widened(tensor: Tensor) -> Tensor:
    """Return a tensor of half precision in float32, and any other tensor unchanged.

    Examples:
        >>> widened(torch.ones(1, dtype=torch.bfloat16)).dtype, widened(torch.ones(1, dtype=torch.float64)).dtype
        (torch.float32, torch.float64)
    """
    return tensor.float() if tensor.dtype in HALF else tensor


def accurate(device: torch.device) -> torch.dtype:
    """Return the dtype for sums on a device: float64, or float32 on Apple's GPUs, which do not support float64."""
    return torch.float32 if device.type == "mps" else torch.float64
