"""Memory that is freed goes back to the system: settings of the C library, where it has them."""

from __future__ import annotations

import ctypes
import sys
from contextlib import suppress
from typing import Any

_MEGABYTE = 2**20
_SETTINGS = {
    -8: 2,  # M_ARENA_MAX, pools of memory that threads share: by default glibc keeps eight a core
    -3: 4 * _MEGABYTE,  # M_MMAP_THRESHOLD: what is larger goes back to the system as soon as it is freed
    -1: 64 * _MEGABYTE,  # M_TRIM_THRESHOLD: so much at the end of a pool is kept for the next answer
}
"""mallopt's numbers of the settings, and their values."""


def set_up_allocator() -> None:
    """Let threads share two pools of memory, and keep large tensors out of them.

    By default each thread keeps what it freed in a pool of its own, some 200 MB, and glibc raises the size from which
    memory is taken from the system itself to that of the largest tensor that was freed (32 MB at most). Cached results
    would then lie between large holes, and the pools would grow for as long as caches fill.
    """
    library = _glibc()
    if library is not None:
        for setting, value in _SETTINGS.items():
            library.mallopt(setting, value)


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
