"""Any module that a user brings, as a network: taken out of what it is wrapped in, on the device that is asked for."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn
from torch.nn.parallel import DataParallel, DistributedDataParallel

from shapleycam.errors import ModelError, OptionError
from shapleycam.models import zoo
from shapleycam.models.hf import labels_of
from shapleycam.models.network import Network, declared_by_timm

_PREFIXES = ("module.", "_orig_mod.")


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
        raise OptionError(f"model is a {type(model).__name__}; expected a name, a Network or a torch.nn.Module")
    inner = unwrapped(model)
    preprocess, labels = declared_by_timm(inner)
    return Network(inner, preprocess, labels or labels_of(inner), type(inner).__name__)


def unwrapped(model: nn.Module) -> nn.Module:
    """The model inside its wrappers.

    Raises:
        ModelError: TorchScript, whose modules cannot be run in parts.
    """
    while True:
        inner = model.module if isinstance(model, (DataParallel, DistributedDataParallel)) else _not_compiled(model)
        if inner is model:
            break
        model = inner
    if isinstance(model, torch.jit.ScriptModule):
        raise ModelError(
            f"model is a TorchScript {type(model).__name__}, which cannot be run in parts; give the Python model that "
            "it was made of, with its state_dict()"
        )
    return model


def own_name(layer: str, model: nn.Module) -> str:
    """A layer's name in the model itself, where the user knows it by its name in the wrapper."""
    while layer not in dict(model.named_modules()) and layer.startswith(_PREFIXES):
        layer = layer.split(".", maxsplit=1)[1]
    return layer


def moved(model: nn.Module, device: str | torch.device, now: torch.device) -> nn.Module:
    """The model on a device; `now` is where it is.

    Raises:
        OptionError: there is no such device.
    """
    try:
        return model if now == torch.device(device) else model.to(device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise OptionError(f"device {str(device)!r} cannot be used ({reason}); use 'cpu', 'cuda' or 'mps'") from None


def _not_compiled(model: nn.Module) -> nn.Module:
    inner = vars(model).get("_modules", {}).get("_orig_mod")
    return inner if isinstance(inner, nn.Module) else model
