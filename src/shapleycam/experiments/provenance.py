"""With what software and on what machine results were made."""

from __future__ import annotations

import hashlib
import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import nn

from shapleycam.experiments.protocol import without_addresses
from shapleycam.version import __version__

_PACKAGES = ("torch", "torchvision", "timm", "numpy", "pillow", "polars", "pyarrow")


def session(device: torch.device) -> dict[str, Any]:
    """Versions and machine, for the manifest."""
    gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else None
    return {
        "versions": {"shapleycam": __version__, **{name: version(name) for name in _PACKAGES}},
        "machine": {
            "system": f"{platform.system()} {platform.machine()}",
            "python": platform.python_version(),
            "processor": _processor(),
            "cores": os.cpu_count(),
            "threads": torch.get_num_threads(),
            "device": gpu or str(device),
        },
    }


def weights_hash(model: nn.Module) -> str:
    """The sha256 of a model's parameters and buffers, with their names."""
    digest = hashlib.sha256()
    for name, tensor in model.state_dict().items():
        if isinstance(tensor, torch.Tensor):
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def code_hash(model: nn.Module, name: str | None) -> str:
    """The sha256 of a model's structure, as it prints itself, and of the file that `name` says it is made by."""
    digest = hashlib.sha256(without_addresses(repr(model)).encode())
    file = Path((name or "").rpartition(":")[0])
    if file.suffix == ".py" and file.is_file():
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as lines:  # noqa: PTH123
            return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()
