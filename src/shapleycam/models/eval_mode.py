"""Eval mode for the user's own model while it runs, for code that makes no private copy of the model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def in_eval_mode(model: nn.Module) -> Iterator[None]:
    """Put all modules into eval mode and disable gradients inside the context; restore each module's mode afterwards.

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
            module.training = False  # not eval(), because a class may override it
        with torch.no_grad():
            yield
    finally:
        for module in training:
            module.training = True
