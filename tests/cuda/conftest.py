"""The tests of this folder need a GPU of NVIDIA's: all are skipped on a machine without one.

`SHAPLEYCAM_TEST_DEVICE=cpu` runs most of them on the CPU, to see that the tests themselves are right.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

DEVICE = os.environ.get("SHAPLEYCAM_TEST_DEVICE", "cuda")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip the tests of this folder where there is no GPU, and those that need CUDA itself on another device."""
    folder = Path(__file__).parent
    for item in items:
        if not item.path.is_relative_to(folder):
            continue
        if DEVICE == "cuda" and not torch.cuda.is_available():
            item.add_marker(pytest.mark.skip(reason="there is no CUDA device"))
        elif DEVICE != "cuda" and item.get_closest_marker("cuda_itself"):
            item.add_marker(pytest.mark.skip(reason=f"CUDA itself is tested, not {DEVICE}"))


@pytest.fixture(scope="session")
def gpu() -> torch.device:
    """The device that is tested."""
    return torch.device(DEVICE)
