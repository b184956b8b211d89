"""Settings of glibc's malloc that decide how freed memory is reused; only this package's own processes make them."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

_MEGABYTE = 2**20
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -3, -4, -8
"""mallopt's parameter numbers."""
_FOR_SERVERS = {
    _ARENA_MAX: 2,  # arenas (memory pools) that threads share; glibc's default is eight per core
    _MMAP_THRESHOLD: 4 * _MEGABYTE,  # larger blocks are returned to the system as soon as they are freed
    _TRIM_THRESHOLD: 64 * _MEGABYTE,  # free memory at the end of an arena that is kept for the next request
}
_FOR_COMMANDS = {
    _MMAP_MAX: 0,  # all blocks come from the arenas
    _TRIM_THRESHOLD: 2**31 - 1,  # free memory at the end of an arena is never returned; this is the largest value
}
_USER_VARIABLES = ("MALLOC_", "GLIBC_TUNABLES")
"""Prefixes of the environment variables with which a user makes the same settings."""


def return_large_blocks() -> None:
    """Let threads share two arenas, and allocate large tensors outside of them; for servers that run for weeks.

    By default each thread keeps the memory that it freed in an arena of its own, about 200 MB. Besides, glibc raises
    the size from which blocks are allocated outside of arenas to that of the largest block freed so far, up to 32 MB.
    Cached results would then lie between large holes, and the arenas would grow as long as caches fill.
    """
    _set(_FOR_SERVERS)


def keep_large_blocks() -> None:
    """Keep the memory of large tensors for the next ones; for commands that run one forward pass after another.

    By default a tensor over 32 MB, such as a batch's activation, is allocated from the system and returned each time.
    The system clears the memory page by page, which takes as long as the pass itself (bench/results/allocator.md). A
    user's own settings in the environment take precedence.
    """
    if not any(name.startswith(_USER_VARIABLES) for name in os.environ):
        _set(_FOR_COMMANDS)


def return_free_memory() -> None:
    """Return freed memory to the system."""
    library = _glibc()
    if library is not None:
        library.malloc_trim(0)


def _set(settings: Mapping[int, int]) -> None:
    library = _glibc()
    if library is not None:
        for setting, value in settings.items():
            library.mallopt(setting, value)


def _glibc() -> Any:
    """Return the C library if it is glibc, else None."""
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            library = ctypes.CDLL("libc.so.6")
            _ = library.mallopt, library.malloc_trim
            return library
    return None
