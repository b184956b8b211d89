"""TorchScript modules inside Python models: run as they are, with nothing inside them to be seen."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from shapleycam.errors import ModelError


class ScriptedCall(nn.Module):
    """A module whose forward runs a TorchScript module, which is not one of its parts.

    Raises:
        ModelError: the TorchScript module is in train mode, which cannot be changed in a copy.
    """

    def __init__(self, scripted: torch.jit.ScriptModule) -> None:
        super().__init__()
        self.training = False
        if any(module.training for module in scripted.modules()):
            raise ModelError(
                f"the TorchScript module {scripted.original_name} inside the model is in train mode; expected eval "
                "mode: call eval() on the model"
            )
        vars(self)["scripted"] = scripted

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Run the TorchScript module."""
        return self.scripted(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        """Look up what else the model reads of the TorchScript module."""
        return getattr(vars(self)["scripted"], name)
