"""pytorch-grad-cam's search for modules."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import nn


def find_layer_types_recursive(model: nn.Module, layer_types: Sequence[type]) -> list[nn.Module]:
    """Return the modules inside a model whose type is one of these."""
    return find_layer_predicate_recursive(model, lambda layer: type(layer) in layer_types)


def find_layer_predicate_recursive(model: nn.Module, predicate: Callable[[nn.Module], bool]) -> list[nn.Module]:
    """Return the modules inside a model for which a function is true."""
    return [module for name, module in model.named_modules() if name and predicate(module)]
