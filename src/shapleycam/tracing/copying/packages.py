"""Tell whether a class or function is the user's, or belongs to a library that does not store state for a model."""

from __future__ import annotations

import sys
from types import FunctionType
from typing import Any

import torch

from shapleycam.tracing.hooks import LIBRARIES

_SHARED_PACKAGES = frozenset(sys.stdlib_module_names) | {"torch", "numpy"}
"""Objects of classes from these packages are shared: loggers, locks, optimizers, graphs. Models do not write them."""
_TRAINERS = {"lightning", "pytorch_lightning", "lightning_fabric", "accelerate"}
_TRAINING_PACKAGES = frozenset(_TRAINERS | {"tensorboard", "tensorboardX", "wandb", "mlflow"})
"""Trainers and loggers of these packages, and the user's subclasses of them, are shared too: a Lightning module refers
to its trainer, which refers to the optimizer's state, open files and the module itself."""
STATELESS_PACKAGES = _SHARED_PACKAGES | LIBRARIES
"""Packages whose functions have no state in global variables, and whose classes have none in class attributes."""
_HEAP_TYPE = 1 << 9  # a type flag of CPython: the class is written in Python


def package_of(definition: Any) -> str:
    """Return the top-level package of a class or function; "" for the program's own file."""
    package = str(definition.__module__).partition(".")[0]
    if package == "builtins":  # definitions made by `exec` without a module name say so too
        is_python = isinstance(definition, FunctionType) or bool(getattr(definition, "__flags__", 0) & _HEAP_TYPE)
        return "" if is_python else package
    return "" if package in {"__main__", "__mp_main__"} else package


def is_user_class(kind: type) -> bool:
    """Return whether objects of a class may be copied, attribute by attribute.

    This is so for classes that are written in Python and do not belong to PyTorch, numpy, the standard library or
    libraries for training. Objects with a `__del__` are not copied: deleting the copy would close or remove something
    that the user's object still uses.
    """
    return (
        bool(kind.__flags__ & _HEAP_TYPE)
        and package_of(kind) not in _SHARED_PACKAGES
        and not issubclass(kind, (torch.optim.Optimizer, torch.utils.data.Dataset, torch.utils.data.DataLoader))
        and not hasattr(kind, "__del__")
        and _TRAINING_PACKAGES.isdisjoint(map(package_of, kind.__mro__))
    )
