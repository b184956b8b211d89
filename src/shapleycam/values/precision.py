"""The number format that sums are taken in."""

from __future__ import annotations

import torch


def accurate(device: torch.device) -> torch.dtype:
    """float64, or float32 where the device has no better (Apple's)."""
    return torch.float32 if device.type == "mps" else torch.float64
