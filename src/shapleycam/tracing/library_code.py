"""Recognise networks of modules from PyTorch, torchvision or timm, whose code is known not to depend on the images.

A user's own code may read the memory order of a tensor, or take another branch for some images. Then a proof that was
made with one image says nothing about other images.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import torch
from torch import nn
from torch.nn.modules import module as module_state

from shapleycam.tracing.hooks import FORWARD_HOOKS, PRE_HOOKS
from shapleycam.tracing.torch_internals import children_of

_LIBRARIES = ("torch.nn.", "torchvision.", "timm.", "shapleycam.")
_GLOBAL_HOOKS = ("_global_forward_hooks", "_global_forward_pre_hooks")

LibraryCode: TypeAlias = tuple[Callable[..., Any], ...]
"""The forward of each module. It is part of the keys of proofs, so that a proof is not used after a forward changed."""


def library_code(modules: Sequence[nn.Module], further: tuple[str, ...] = ()) -> LibraryCode | None:
    """Return the code of a network's modules; None if the user's own code runs among them.

    The user's own code is: modules from other packages, hooks (which may store tensors), replaced forwards, and
    TorchScript. The packages `further`, each with a dot at its end, count as libraries too.
    """
    if any(getattr(module_state, name) for name in _GLOBAL_HOOKS) or any(map(_has_own_code, modules)):
        return None
    kinds = dict.fromkeys(map(type, modules))
    if not all(kind.__module__.startswith(_LIBRARIES + further) for kind in kinds):
        return None
    return tuple(type(module).forward for module in modules)


def _has_own_code(module: nn.Module) -> bool:
    """Return whether a module has code that its class does not define: hooks, a replaced forward, TorchScript."""
    if isinstance(module, torch.jit.ScriptModule):
        return True
    attributes = vars(module)
    is_compiled = "_orig_mod" in children_of(module)  # the wrapper of torch.compile, which is not run
    has_forward = "forward" in attributes and not is_compiled
    return bool(attributes.get(FORWARD_HOOKS) or attributes.get(PRE_HOOKS) or has_forward)
