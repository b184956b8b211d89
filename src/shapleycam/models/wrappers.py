"""A model inside what other libraries put around it."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.parallel import DataParallel, DistributedDataParallel

from shapleycam.errors import ModelError

PREFIXES = ("module.", "_orig_mod.")
"""What wrappers put before the names of a model's parts."""


def unwrapped(model: nn.Module) -> nn.Module:
    """The model inside its wrappers.

    Raises:
        ModelError: TorchScript, whose modules cannot be run in parts.
    """
    inner = _inside(model)
    while inner is not None:
        model, inner = inner, _inside(inner)
    if isinstance(model, torch.jit.ScriptModule):
        raise ModelError(
            f"model is a TorchScript {type(model).__name__}, which cannot be run in parts; give the Python model that "
            "it was made of, with its state_dict()"
        )
    return model


def _inside(model: nn.Module) -> nn.Module | None:
    if isinstance(model, torch.jit.ScriptModule):
        return None
    if isinstance(model, (DataParallel, DistributedDataParallel)):
        inner: nn.Module = model.module
        return inner
    return model._modules.get("_orig_mod")  # noqa: SLF001
