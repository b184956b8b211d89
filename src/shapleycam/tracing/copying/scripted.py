"""TorchScript modules inside Python models: they run as a whole, and a trace cannot see the modules inside them."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import torch
from torch import nn

from shapleycam.precision import HALF


class ScriptedCall(nn.Module):
    """A module whose forward runs a copy of a TorchScript module, which is not one of its submodules.

    The copy is in eval mode and shares the parameters. `precision` is the dtype of its floating-point numbers; None
    converts half precision to float32.
    """

    def __init__(self, scripted: torch.jit.ScriptModule, precision: torch.dtype | None) -> None:
        super().__init__()
        self.training = False
        copied = deepcopy(scripted).eval()
        floats = [tensor for tensor in copied.state_dict().values() if tensor.is_floating_point()]
        if precision is not None or any(tensor.dtype in HALF for tensor in floats):
            copied = copied.to(precision or torch.float32)
        else:
            _share_parameters(copied, scripted)
        vars(self)["scripted"] = copied

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Run the TorchScript module."""
        return self.scripted(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        """Return an attribute of the TorchScript module that the model reads."""
        return getattr(vars(self)["scripted"], name)


def _share_parameters(copied: torch.jit.ScriptModule, scripted: torch.jit.ScriptModule) -> None:
    """Replace the copied parameters by the original ones, because TorchScript cannot copy a module without them."""
    modules = dict(copied.named_modules())
    for name, parameter in scripted.named_parameters():
        owner, _, attribute = name.rpartition(".")
        modules[owner]._c.setattr(attribute, parameter.detach())  # noqa: SLF001  # the C++ module
