"""What a model's classes keep for all their objects: a private copy of a model does not have them to itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from shapleycam.trace.copying import STATELESS_PACKAGES


def class_attributes(model: nn.Module) -> dict[tuple[type, str], Any]:
    """Return the attributes of the classes of a model's modules, libraries' classes apart."""
    classes = {base for module in model.modules() for base in type(module).__mro__}
    own = (kind for kind in classes if str(kind.__module__).partition(".")[0] not in STATELESS_PACKAGES)
    return {(kind, name): value for kind in own for name, value in vars(kind).items() if not name.startswith("__")}


def restore(before: Mapping[tuple[type, str], Any]) -> str | None:
    """Put back the class attributes that are other objects than before; return the name of one, None without any."""
    changed = [(kind, name) for (kind, name), value in before.items() if vars(kind).get(name) is not value]
    for kind, name in changed:
        setattr(kind, name, before[kind, name])
    return f"{changed[0][0].__name__}.{changed[0][1]}" if changed else None
