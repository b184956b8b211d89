"""Making a `Network` from a user's argument: a name, a `Network`, or a module, which may be wrapped."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn

from shapleycam.errors import OptionError
from shapleycam.gpu_failures import is_out_of_memory
from shapleycam.models import zoo
from shapleycam.models.labels import labels_from_config
from shapleycam.models.network import Network, preprocess_and_labels_of_timm
from shapleycam.models.wrappers import (
    PREFIXES,
    describe_held_network,
    held_network_name,
    suggest_network,
    unwrap_model,
)
from shapleycam.wording import first_line


def resolve_network(model: object) -> Network:
    """Return the network for a name, a `Network` or a module.

    `torch.compile(model)`, `DataParallel` and `DistributedDataParallel` are unwrapped: the model inside is explained,
    which has the same weights (docs/decisions.md, "Compiled and wrapped models are unwrapped").

    Raises:
        OptionError: the argument is something else.
        ModelError: the name is unknown, or the module is TorchScript.
    """
    if isinstance(model, str):
        return zoo.load_network(model)
    if isinstance(model, Network):
        return replace(model, model=unwrap_model(model.model))
    if not isinstance(model, nn.Module):
        expected = f"{describe_held_network(model)}; expected a name, a Network or a torch.nn.Module"
        remedy = f": {suggest_network(model)}" if held_network_name(model) else ""
        raise OptionError(f"model is a {type(model).__name__}{expected}{remedy}")
    inner = unwrap_model(model)
    preprocess, labels = preprocess_and_labels_of_timm(inner)
    return Network(inner, preprocess, labels or labels_from_config(inner), type(inner).__name__)


def name_without_wrappers(layer: str, model: nn.Module) -> str:
    """Return a layer's name in the unwrapped model; the user may have given its name in the wrapper."""
    while layer not in dict(model.named_modules()) and layer.startswith(PREFIXES):
        layer = layer.split(".", maxsplit=1)[1]
    return layer


def default_device() -> str:
    """Return the default device for a model that was loaded by its name: the GPU if there is one."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def move_to_device(model: nn.Module, device: str | torch.device, current: torch.device) -> nn.Module:
    """Return the model after moving it from the device `current` to `device`.

    Raises:
        OptionError: the device cannot be used.
    """
    try:
        return model if current == torch.device(device) else model.to(device)
    except (RuntimeError, AssertionError) as error:
        if is_out_of_memory(error):
            raise
        reason = first_line(error)
        raise OptionError(f"device {str(device)!r} cannot be used ({reason}); use 'cpu', 'cuda' or 'mps'") from None
