"""How the C library keeps memory that was freed: settings of glibc's malloc, for processes of this package's own."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

_MEGABYTE = 2**20
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -3, -4, -8
"""mallopt's numbers of the settings."""
_FOR_SERVERS = {
    _ARENA_MAX: 2,  # pools of memory that threads share: by default glibc keeps eight a core
    _MMAP_THRESHOLD: 4 * _MEGABYTE,  # what is larger goes back to the system as soon as it is freed
    _TRIM_THRESHOLD: 64 * _MEGABYTE,  # so much at the end of a pool is kept for the next answer
}
_FOR_COMMANDS = {
    _MMAP_MAX: 0,  # all blocks come from the pools
    _TRIM_THRESHOLD: 2**31 - 1,  # so much at the end of a pool is kept; it is the largest number that there is
}
_USERS_OWN = ("MALLOC_", "GLIBC_TUNABLES")
"""How the environment variables begin by which a user sets the same."""


def return_large_blocks() -> None:
    """Let threads share two pools of memory, and keep large tensors out of them, as a server that runs for weeks wants.

    By default each thread keeps what it freed in a pool of its own, some 200 MB, and glibc raises the size from which
    memory is taken from the system itself to that of the largest tensor that was freed (32 MB at most). Cached results
    would then lie between large holes, and the pools would grow for as long as caches fill.
    """
    _set(_FOR_SERVERS)


def keep_large_blocks() -> None:
    """Keep the memory of large tensors for the next ones, as a command that runs one pass after the other wants.

    By default a tensor of over 32 MB, as activations of a batch are, is taken from the system and given back each time;
    the system then clears it page by page, which takes as long as the pass itself (bench/results/allocator.md). What
    the user set in the environment stays.
    """
    if not any(name.startswith(_USERS_OWN) for name in os.environ):
        _set(_FOR_COMMANDS)


def return_free_memory() -> None:
    """Give freed memory back to the system."""
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
