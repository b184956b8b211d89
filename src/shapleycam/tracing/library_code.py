"""Networks whose modules are all of PyTorch, torchvision or timm: their code is known not to depend on the images.

A user's own code may read the order of memory, or take another way for some images, so that no proof from one image
says what it does for others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import torch
from torch import nn
from torch.nn.modules import module as module_state

from shapleycam.tracing.hooks import FORWARD_HOOKS, PRE_HOOKS

_LIBRARIES = ("torch.nn.", "torchvision.", "timm.", "shapleycam.")
_GLOBAL_HOOKS = ("_global_forward_hooks", "_global_forward_pre_hooks")

LibraryCode: TypeAlias = tuple[Callable[..., Any], ...]
"""The forward of each module. What is known of a model does not outlive a change of it."""


def library_code(modules: Sequence[nn.Module], further: tuple[str, ...] = ()) -> LibraryCode | None:
    """Return the code of a network's modules; None where a user's code runs among them.

    That are modules of other packages, hooks (which may keep what passes by), replaced forwards, and TorchScript.
    `further` packages, each with a dot at its end, count as libraries too.
    """
    if any(getattr(module_state, name) for name in _GLOBAL_HOOKS) or any(map(_has_own_code, modules)):
        return None
    kinds = dict.fromkeys(map(type, modules))
    if not all(kind.__module__.startswith(_LIBRARIES + further) for kind in kinds):
        return None
    return tuple(type(module).forward for module in modules)


def _has_own_code(module: nn.Module) -> bool:
    """Return whether code that is not of the module's class may keep what passes by: hooks, a forward, TorchScript."""
    if isinstance(module, torch.jit.ScriptModule):
        return True
    attributes = vars(module)
    has_forward = "forward" in attributes and "_orig_mod" not in module._modules  # noqa: SLF001  # torch.compile's is not run
    return bool(attributes.get(FORWARD_HOOKS) or attributes.get(PRE_HOOKS) or has_forward)
