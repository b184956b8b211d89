"""The user's hooks on modules: run for the user once a traced pass, and as private copies wherever they take part."""

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


@dataclass
class Observation:
    """Whether the pass that runs now is one that the user's own hooks see."""

    on: bool = False


@dataclass(frozen=True)
class HookProxy:
    """A hook in a private copy of a model.

    What the hook changes is done by `own`, a copy with the state that it keeps, on the copied module. The user's own
    hook sees each traced pass once, with the user's module and detached copies of what passes by; it sees no replay,
    no stand-in, and cannot keep a graph alive. Hooks of libraries (weight norm, pruning; transformers' and timm's that
    collect hidden states) only do, and see nothing: a collector of the running thread would get each state twice.
    """

    hook: Any
    module: nn.Module
    own: Any
    observation: Observation

    def __call__(self, module: nn.Module, *passed: Any) -> Any:
        """Run the hook as PyTorch does."""
        if self.observation.on and not _is_of_library(self.hook):
            before = _attributes(self.module)
            with torch.no_grad():
                self.hook(self.module, *(map_tensors(_detached, value) for value in passed))
            _restore(self.module, before)
        return self.own(module, *passed)


def _is_of_library(hook: Any) -> bool:
    while isinstance(hook, functools.partial):
        hook = hook.func
    module = getattr(hook, "__module__", None) or type(hook).__module__
    return str(module).partition(".")[0] in LIBRARIES


def _detached(tensor: Tensor) -> Tensor:
    return tensor.detach().clone()


def _attributes(module: nn.Module) -> list[dict[str, Any]]:
    own = vars(module)
    return [dict(own), *(dict(own[name]) for name in ("_parameters", "_buffers"))]


def _restore(module: nn.Module, before: list[dict[str, Any]]) -> None:
    """Undo what a hook set on the module itself: a pass of ours must not show there."""
    own = vars(module)
    for now, then in zip((own, own["_parameters"], own["_buffers"]), before, strict=True):
        if now.keys() != then.keys() or any(now[name] is not value for name, value in then.items()):
            now.clear()
            now.update(then)
