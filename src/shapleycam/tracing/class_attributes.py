"""Restore attributes of the user's classes, because a private copy of a model shares its classes with the model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from shapleycam.tracing.copying import STATELESS_PACKAGES


def user_classes(modules: Iterable[nn.Module]) -> tuple[type, ...]:
    """Return the classes of modules, and their base classes, that do not belong to known libraries."""
    classes = dict.fromkeys(base for kind in dict.fromkeys(map(type, modules)) for base in kind.__mro__)
    return tuple(kind for kind in classes if str(kind.__module__).partition(".")[0] not in STATELESS_PACKAGES)


@contextmanager
def restore_class_attributes(classes: Iterable[type]) -> Iterator[None]:
    """Restore the attributes of these classes, and the contents of their containers and tensors, on exit."""
    before = {
        (kind, name): (value, _copy_content(value))
        for kind in classes
        for name, value in vars(kind).items()
        if not name.startswith("__")
    }
    try:
        yield
    finally:
        for (kind, name), (value, content) in before.items():
            if vars(kind).get(name) is not value:
                setattr(kind, name, value)
            if content is not None:
                _restore_content(value, content)


def _copy_content(value: Any) -> Any:
    """Return a copy of a list, dict, set or tensor; None for other values."""
    if isinstance(value, Tensor):
        return value.detach().clone()
    return value.copy() if type(value) in {list, dict, set} else None


def _restore_content(value: Any, content: Any) -> None:
    if isinstance(value, Tensor):
        if not value.detach().equal(content):
            value.data.copy_(content)
    elif isinstance(value, list):
        value[:] = content
    else:
        value.clear()
        value.update(content)
