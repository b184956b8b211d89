"""Any module that a user brings, as a network: taken out of what it is wrapped in, on the device that is asked for."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn

from shapleycam.errors import OptionError
from shapleycam.models import zoo
from shapleycam.models.hf import labels_of
from shapleycam.models.network import Network, declared_by_timm
from shapleycam.models.wrappers import PREFIXES, held_in, held_network, remedy_for, unwrapped
from shapleycam.wording import first_line


def network_of(model: object) -> Network:
    """The network that a name, a `Network` or a module means.

    Of `torch.compile(model)`, `DataParallel` and `DistributedDataParallel` the model inside is explained, which shares
    their weights.

    Raises:
        OptionError: something else; ModelError: an unknown name, or TorchScript.
    """
    if isinstance(model, str):
        return zoo.load(model)
    if isinstance(model, Network):
        return replace(model, model=unwrapped(model.model))
    if not isinstance(model, nn.Module):
        expected = f"{held_in(model)}; expected a name, a Network or a torch.nn.Module"
        remedy = f": {remedy_for(model)}" if held_network(model) else ""
        raise OptionError(f"model is a {type(model).__name__}{expected}{remedy}")
    inner = unwrapped(model)
    preprocess, labels = declared_by_timm(inner)
    return Network(inner, preprocess, labels or labels_of(inner), type(inner).__name__)


def own_name(layer: str, model: nn.Module) -> str:
    """A layer's name in the model itself, where the user knows it by its name in the wrapper."""
    while layer not in dict(model.named_modules()) and layer.startswith(PREFIXES):
        layer = layer.split(".", maxsplit=1)[1]
    return layer


def best_device() -> str:
    """Where a model goes that a name was given for: the GPU if there is one."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def moved(model: nn.Module, device: str | torch.device, now: torch.device) -> nn.Module:
    """The model on a device; `now` is where it is.

    Raises:
        OptionError: there is no such device.
    """
    try:
        return model if now == torch.device(device) else model.to(device)
    except (RuntimeError, AssertionError) as error:
        reason = first_line(error)
        raise OptionError(f"device {str(device)!r} cannot be used ({reason}); use 'cpu', 'cuda' or 'mps'") from None
