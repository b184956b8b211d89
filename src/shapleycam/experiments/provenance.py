"""Provenance of results (software versions and machine), and fingerprints of models."""

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
    """Return package versions and properties of the machine, as one entry of the manifest's `sessions`."""
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
    """Return the working folder of this process, from which relative paths start; "" if it does not exist any more."""
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
        name: the name that the user gave; if it is "path/to/file.py:function", the file is part of the hash.
    """
    digest = hashlib.sha256(strip_addresses(repr(model)).encode())
    file = Path((name or "").rpartition(":")[0])
    if file.suffix == ".py" and is_file(file):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _processor() -> str:
    """Return the processor's name; on Linux only /proc/cpuinfo has it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as lines:  # noqa: PTH123
            return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()
