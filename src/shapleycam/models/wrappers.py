"""Unwrapping models from torch.compile and parallel modules, and finding them in trainers and pipelines."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.parallel import DataParallel, DistributedDataParallel

from shapleycam.errors import ModelError

PREFIXES = ("module.", "_orig_mod.")
"""Prefixes that wrappers add to the names of a model's modules."""
_ATTRIBUTES = ("model", "module", "network", "net", "_model")
"""Attributes in which trainers, pipelines and front ends hold their network."""


def unwrap_model(model: nn.Module) -> nn.Module:
    """Return the model inside its wrappers.

    Raises:
        ModelError: the model is TorchScript, whose modules cannot be run in parts, or has no forward.
    """
    inner = _wrapped_model(model)
    while inner is not None:
        model, inner = inner, _wrapped_model(inner)
    if not isinstance(model, torch.jit.ScriptModule) and not has_forward(model):
        raise ModelError(
            f"model is a {type(model).__name__}, which has no forward of its own"
            f"{describe_held_network(model)}; expected a module that maps images to scores: {suggest_network(model)}"
        )
    if isinstance(model, torch.jit.ScriptModule):
        raise ModelError(
            f"model is a TorchScript {type(model).__name__}, which cannot be run in parts; give the Python model that "
            "it was made of, with its state_dict()"
        )
    return model


def _wrapped_model(model: nn.Module) -> nn.Module | None:
    if isinstance(model, torch.jit.ScriptModule):
        return None
    if isinstance(model, (DataParallel, DistributedDataParallel)):
        inner: nn.Module = model.module
        return inner
    return model._modules.get("_orig_mod")  # noqa: SLF001  # the class may have replaced `children`


def has_forward(model: nn.Module) -> bool:
    """Return whether a module or its class defines `forward`; containers and some libraries' front ends do not."""
    return "forward" in vars(model) or type(model).forward is not nn.Module.forward


def held_network_name(holder: object) -> str | None:
    """Return the attribute in which an object (a trainer, a pipeline) holds a network, without running its code."""
    held = {**getattr(holder, "__dict__", {}), **getattr(holder, "__dict__", {}).get("_modules", {})}
    return next((name for name in _ATTRIBUTES if isinstance(held.get(name), nn.Module)), None)


def describe_held_network(holder: object) -> str:
    """Return the part of a message that says where an object holds a network; empty if there is no network."""
    name = held_network_name(holder)
    return f" and holds the network in .{name}" if name else ""


def suggest_network(holder: object) -> str:
    """Return the part of a message that says what to pass instead of an object that is not a network."""
    name = held_network_name(holder)
    return f"give its .{name}" if name else "give the network itself"
