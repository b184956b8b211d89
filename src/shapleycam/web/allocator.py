"""Memory that is freed goes back to the system: settings of the C library, where it has them."""

from __future__ import annotations

import ctypes
import sys
from contextlib import suppress
from typing import Any

_M_ARENA_MAX, _ARENAS = -8, 2
"""mallopt's number of the setting, and how many pools of memory threads share: by default glibc keeps eight a core."""


def share_arenas() -> None:
    """Let all threads share two pools of memory.

    Each thread works on tensors of many megabytes, and would keep what it freed in a pool of its own: some 200 MB.
    """
    library = _glibc()
    if library is not None:
        library.mallopt(_M_ARENA_MAX, _ARENAS)


def return_free_memory() -> None:
    """Give freed memory back to the system."""
    library = _glibc()
    if library is not None:
        library.malloc_trim(0)


def _glibc() -> Any:
    """Return the C library if it is glibc, else None."""
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            library = ctypes.CDLL("libc.so.6")
            _ = library.mallopt, library.malloc_trim
            return library
    return None
