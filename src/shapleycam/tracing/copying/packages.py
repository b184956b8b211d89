"""Whose code a class or function is: the user's, or that of a library that keeps no state for a model."""

from __future__ import annotations

import sys
from types import FunctionType
from typing import Any

import torch

from shapleycam.tracing.hooks import LIBRARIES

_SHARED_PACKAGES = frozenset(sys.stdlib_module_names) | {"torch", "numpy"}
"""Objects of these packages' classes are shared: loggers, locks, optimizers, graphs. What a model writes is its own."""
_TRAINERS = {"lightning", "pytorch_lightning", "lightning_fabric", "accelerate"}
_TRAINING_PACKAGES = frozenset(_TRAINERS | {"tensorboard", "tensorboardX", "wandb", "mlflow"})
"""Their trainers and loggers, and the user's classes on top of them, are shared too: a Lightning module refers to its
trainer, and with it to the optimizer's state, open files and a second path to the module itself."""
STATELESS_PACKAGES = _SHARED_PACKAGES | LIBRARIES
"""Packages whose functions keep no state in global variables, and whose classes keep none for all their objects."""
_HEAP_TYPE = 1 << 9  # of CPython's type flags: a class that was written in Python


def package_of(definition: Any) -> str:
    """Return the top-level package of a class or function; "" for the program's own file."""
    package = str(definition.__module__).partition(".")[0]
    if package == "builtins":  # what `exec` defines without the name of a module says so too
        is_python = isinstance(definition, FunctionType) or bool(getattr(definition, "__flags__", 0) & _HEAP_TYPE)
        return "" if is_python else package
    return "" if package in {"__main__", "__mp_main__"} else package


def is_user_class(kind: type) -> bool:
    """Return whether objects of a class may be copied, attribute by attribute.

    The class was written in Python, outside PyTorch, numpy, the standard library and what trains models. One with a
    `__del__` is not copied: the end of the copy would close or remove what the user's object still uses.
    """
    return (
        bool(kind.__flags__ & _HEAP_TYPE)
        and package_of(kind) not in _SHARED_PACKAGES
        and not issubclass(kind, (torch.optim.Optimizer, torch.utils.data.Dataset, torch.utils.data.DataLoader))
        and not hasattr(kind, "__del__")
        and _TRAINING_PACKAGES.isdisjoint(map(package_of, kind.__mro__))
    )
