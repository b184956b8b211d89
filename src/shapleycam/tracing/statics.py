"""What a model's classes keep for all their objects: a private copy of a model does not have them to itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from shapleycam.tracing.copying import STATELESS_PACKAGES
from shapleycam.tracing.modules import modules_of


def own_classes(model: nn.Module) -> tuple[type, ...]:
    """Return the classes of a model's modules that are the user's, libraries' apart."""
    classes = dict.fromkeys(base for module in modules_of(model) for base in type(module).__mro__)
    return tuple(kind for kind in classes if str(kind.__module__).partition(".")[0] not in STATELESS_PACKAGES)


@contextmanager
def class_attributes_kept(classes: Iterable[type]) -> Iterator[None]:
    """Put back, after what runs inside, what it writes into attributes of these classes."""
    before = {
        (kind, name): (value, _content(value))
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
                _put_back(value, content)


def _content(value: Any) -> Any:
    """A copy of what is in a container or a tensor; None of other values."""
    if isinstance(value, Tensor):
        return value.detach().clone()
    return value.copy() if type(value) in {list, dict, set} else None


def _put_back(value: Any, content: Any) -> None:
    if isinstance(value, Tensor):
        if not value.detach().equal(content):
            value.data.copy_(content)
    elif isinstance(value, list):
        value[:] = content
    else:
        value.clear()
        value.update(content)
