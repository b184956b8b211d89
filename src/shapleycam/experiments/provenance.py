"""The software and the machine that results were made with, and fingerprints of models."""

from __future__ import annotations

import hashlib
import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import nn

from shapleycam.experiments.plain_data import strip_addresses
from shapleycam.printable import printable_name
from shapleycam.regular_files import is_file
from shapleycam.version import __version__

_PACKAGES = ("torch", "torchvision", "timm", "numpy", "pillow", "polars", "pyarrow")


def collect_provenance(device: torch.device) -> dict[str, Any]:
    """Return the versions of packages and the machine, as the manifest of a run lists them in its `sessions`."""
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


def working_folder() -> str:
    """Return the folder of this process, in which relative paths of the run's photographs and weights lie."""
    try:
        return printable_name(str(Path.cwd()))
    except OSError:  # it was removed
        return ""


def weights_hash(model: nn.Module) -> str:
    """Return the SHA-256, in hexadecimal, of a model's parameters and buffers with their names."""
    digest = hashlib.sha256()
    for name, tensor in model.state_dict().items():
        if isinstance(tensor, torch.Tensor):
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def code_hash(model: nn.Module, name: str | None) -> str:
    """Return the SHA-256, in hexadecimal, of a model's printed structure and of the source file that builds it.

    Args:
        model: the network.
        name: what the user called it; the file is read where this is "path/to/file.py:function".
    """
    digest = hashlib.sha256(strip_addresses(repr(model)).encode())
    file = Path((name or "").rpartition(":")[0])
    if file.suffix == ".py" and is_file(file):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _processor() -> str:
    """Return the processor's name, which Linux has in /proc/cpuinfo only."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as lines:  # noqa: PTH123
            return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()
