"""The user's hooks on modules: called for the user once a traced pass, and copied wherever they change numbers."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from shapleycam.tracing.nested import map_tensors

FORWARD_HOOKS, PRE_HOOKS = "_forward_hooks", "_forward_pre_hooks"
LIBRARIES = frozenset({"torch", "torchvision", "timm", "transformers"})
"""Packages whose modules and hooks are parts of the model, and keep nothing for the user."""

_OWN = __name__.partition(".")[0]
"""This package, whose hooks remember the passes of the user's own model alone."""


@dataclass
class HookVisibility:
    """Whether the user's own hooks see the pass that runs now."""

    visible: bool = False


@dataclass(frozen=True)
class HookProxy:
    """A hook in a private copy of a model, in the place of the user's.

    What the hook does to the numbers is done by `copy`, with copies of the state that it keeps, on the copied module.
    The user's own hook sees each traced pass once, with the user's module and detached copies of what passes by; it
    sees no replay, no stand-in for a module's output, and cannot keep a graph alive. Hooks of libraries (weight norm,
    pruning; transformers' and timm's that collect hidden states) are only run as copies: a collector of the running
    thread would get each state twice (docs/decisions.md, "The user's hooks see the traced pass, once").
    """

    hook: Any
    module: nn.Module
    copy: Any
    visibility: HookVisibility

    def __call__(self, module: nn.Module, *arguments: Any) -> Any:
        """Run the hook as PyTorch does."""
        if self.visibility.visible and not _is_of_library(self.hook):
            before = _copy_attributes(self.module)
            with torch.no_grad():
                self.hook(self.module, *(map_tensors(_detached_copy, value) for value in arguments))
            _restore_attributes(self.module, before)
        return self.copy(module, *arguments)


def _is_of_library(hook: Any) -> bool:
    while isinstance(hook, functools.partial):
        hook = hook.func
    module = getattr(hook, "__module__", None) or type(hook).__module__
    return str(module).partition(".")[0] in {*LIBRARIES, _OWN}


def _detached_copy(tensor: Tensor) -> Tensor:
    return tensor.detach().clone()


def _copy_attributes(module: nn.Module) -> list[dict[str, Any]]:
    attributes = vars(module)
    return [dict(attributes), *(dict(attributes[name]) for name in ("_parameters", "_buffers"))]


def _restore_attributes(module: nn.Module, before: list[dict[str, Any]]) -> None:
    """Restore what a hook set on the user's module: passes of this library must leave no trace there."""
    attributes = vars(module)
    current = (attributes, attributes["_parameters"], attributes["_buffers"])
    for values, old_values in zip(current, before, strict=True):
        if values.keys() != old_values.keys() or any(values[name] is not old for name, old in old_values.items()):
            values.clear()
            values.update(old_values)
