"""The number format that sums are taken in, and how near is near enough."""

from __future__ import annotations

import torch

from shapleycam.errors import OptionError


def accurate(device: torch.device) -> torch.dtype:
    """float64, or float32 where the device has no better (Apple's)."""
    return torch.float32 if device.type == "mps" else torch.float64


def check_tolerance(tolerance: float) -> None:
    """Refuse a tolerance that nothing can keep.

    Raises:
        OptionError: it is not positive.
    """
    if not tolerance > 0:
        raise OptionError(f"tolerance is {tolerance}; expected a positive number, such as 0.01 for 1 %")
