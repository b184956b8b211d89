"""Modules that are imported when they are first used, so that collecting the tests does not wait for them."""

from __future__ import annotations

from importlib import import_module
from typing import Any


class LazyModule:
    """A module by its dotted name: `open_clip = LazyModule("open_clip")`."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        return getattr(import_module(self._name), attribute)
