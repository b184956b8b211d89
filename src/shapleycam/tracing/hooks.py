"""The user's hooks on modules: copies of them run in every pass, and the user's own see each traced pass once."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from shapleycam.tracing.nested import map_tensors

FORWARD_HOOKS, PRE_HOOKS = "_forward_hooks", "_forward_pre_hooks"
LIBRARIES = frozenset({"torch", "torchvision", "timm", "transformers"})
"""Packages whose modules and hooks are parts of the model, and do not store anything for the user."""

_THIS_PACKAGE = __name__.partition(".")[0]
"""This package: its hooks record passes of the user's own model only."""


@dataclass
class HookVisibility:
    """Whether the user's own hooks are called in the pass that runs now."""

    visible: bool = False


@dataclass(frozen=True)
class HookProxy:
    """A hook on a module of a private copy, which takes the place of the user's hook.

    `copy`, a copy of the hook with copies of its state, runs in every pass, on the copied module; its result counts.

    The user's own hook is called once in each traced pass, with the user's module and detached copies of the arguments.
    So it sees no replays and no placeholders, and cannot keep a graph alive.

    Hooks of libraries (weight norm, pruning, the collectors of hidden states in transformers and timm) run only as
    copies: a collector that belongs to the running thread would get each state twice (docs/decisions.md, "The user's
    hooks see the traced pass, once").
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
    return str(module).partition(".")[0] in {*LIBRARIES, _THIS_PACKAGE}


def _detached_copy(tensor: Tensor) -> Tensor:
    return tensor.detach().clone()


def _copy_attributes(module: nn.Module) -> list[dict[str, Any]]:
    attributes = vars(module)
    return [dict(attributes), *(dict(attributes[name]) for name in ("_parameters", "_buffers"))]


def _restore_attributes(module: nn.Module, before: list[dict[str, Any]]) -> None:
    """Undo what a hook set on the user's module, because passes of this library must not change it."""
    attributes = vars(module)
    current = (attributes, attributes["_parameters"], attributes["_buffers"])
    for values, old_values in zip(current, before, strict=True):
        if values.keys() != old_values.keys() or any(values[name] is not old for name, old in old_values.items()):
            values.clear()
            values.update(old_values)
