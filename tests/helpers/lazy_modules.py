"""Modules that are imported when they are first used, so that collecting the tests does not wait for them.

They belong to the extras, all of which `pip install ".[dev]"` brings. Tests that need one that is missing are
skipped, so that the core can be tested with its lowest versions, where extras may need newer ones (bench/versions.py).
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest


class LazyModule:
    """A module by its dotted name: `open_clip = LazyModule("open_clip")`."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        if attribute.startswith(("__", "_mock_")):  # what pytest asks of every global of a test file
            raise AttributeError(attribute)
        pytest.importorskip(self._name.partition(".")[0])
        return getattr(import_module(self._name), attribute)
