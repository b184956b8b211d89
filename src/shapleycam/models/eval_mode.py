"""The user's model in eval mode for a moment, where it is run as it is and not as a private copy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def in_eval_mode(model: nn.Module) -> Iterator[None]:
    """Run the code inside with all modules in eval mode and without gradients; their own modes come back after it.

    Examples:
        >>> from torch import nn
        >>> model = nn.Sequential(nn.Dropout(0.5))
        >>> with in_eval_mode(model):
        ...     model[0].training
        False
        >>> model[0].training
        True
    """
    training = [module for module in model.modules() if module.training]
    try:
        for module in training:
            module.training = False  # not eval(), which a class may define as anything
        with torch.no_grad():
            yield
    finally:
        for module in training:
            module.training = True
