"""The user's hooks on modules: run for the user once a traced pass, and as private copies wherever they take part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from shapleycam.trace.nested import map_tensors

FORWARD_HOOKS, PRE_HOOKS = "_forward_hooks", "_forward_pre_hooks"


@dataclass
class Observation:
    """Whether the pass that runs now is one that the user's own hooks see."""

    on: bool = False


@dataclass(frozen=True)
class HookProxy:
    """A hook in a private copy of a model.

    What the hook changes is done by `own`, a copy with the state that it keeps, on the copied module. The user's own
    hook sees each traced pass once, with the user's module and detached copies of what passes by; it sees no replay,
    no stand-in, and cannot keep a graph alive. Hooks of PyTorch itself (weight norm, pruning) only do, and see nothing.
    """

    hook: Any
    module: nn.Module
    own: Any
    observation: Observation

    def __call__(self, module: nn.Module, *passed: Any) -> Any:
        """Run the hook as PyTorch does."""
        if self.observation.on and not _is_of_pytorch(self.hook):
            before = _attributes(self.module)
            with torch.no_grad():
                self.hook(self.module, *(map_tensors(_detached, value) for value in passed))
            _restore(self.module, before)
        return self.own(module, *passed)


def show_to_hooks(module: nn.Module, args: Any, kwargs: Any, value: Any) -> None:
    """Show the hooks of a copied module what was put in the place of its output, for those that keep it for later."""
    with_keywords = module._forward_hooks_with_kwargs  # noqa: SLF001
    for key, hook in list(module._forward_hooks.items()):  # noqa: SLF001
        passed = (args, kwargs, value) if key in with_keywords else (args, value)
        getattr(hook, "own", hook)(module, *passed)


def _is_of_pytorch(hook: Any) -> bool:
    module = getattr(hook, "__module__", None) or type(hook).__module__
    return str(module).partition(".")[0] == "torch"


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
