"""Chromium, driven by Playwright, that asks nobody for anything by itself."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from typing import Any

_QUIET = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
]


def chromium_path() -> str | None:
    """Return where Chromium is on this machine; None where it is not, or comes with Playwright."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def launch(kind: Any, without: Sequence[str] = ()) -> Any:
    """Start a browser of Playwright's `kind`, without some of the switches that Playwright gives it."""
    return kind.launch(executable_path=chromium_path(), args=_QUIET, ignore_default_args=list(without))
