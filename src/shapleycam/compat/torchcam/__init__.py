"""torch-cam's interface: in a script, `torchcam` becomes `shapleycam.compat.torchcam`.

A thin translation: the maps are those of `Explainer`, which runs the model once more on the images of your forward
pass. Where they differ from torch-cam's is listed in docs/coming-from.md, with the side that is right.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

_SUBMODULES = ("methods", "metrics", "utils")


def __getattr__(name: str) -> ModuleType:
    if name in _SUBMODULES:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}; expected one of {', '.join(_SUBMODULES)}")


def __dir__() -> list[str]:
    return list(_SUBMODULES)
