"""Writing files so that they are whole or not there at all, also when the power fails."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO

from shapleycam.errors import OptionError

UNFINISHED = ".shapleycam-"
"""The beginning of the names of files that are still being written."""


def write_atomically(path: Path, write: Callable[[IO[bytes]], object]) -> Path:
    """Write a file under a temporary name, rename it to `path` when it is complete, and return `path`.

    `write` is called with the open binary file.

    Raises:
        OptionError: the file cannot be written; nothing is left at `path` then, or what was there before.
    """
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=UNFINISHED)
    except OSError as error:
        raise OptionError(f"{path.parent}: cannot be written ({error.strerror}); choose another folder") from None
    try:
        with os.fdopen(handle, "wb") as file:
            write(file)
            file.flush()
            os.fsync(handle)
        Path(name).chmod(0o666 & ~_umask())  # mkstemp makes private files
        Path(name).replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        raise OptionError(f"{path}: cannot be written ({error.strerror or error}); nothing was left there") from None
    finally:
        Path(name).unlink(missing_ok=True)
    return path


def make_folder(path: Path) -> Path:
    """Create a folder, unless it is there, check that it can be written to, and return it.

    Raises:
        OptionError: it cannot be made or written.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            return path
    except FileExistsError:
        raise OptionError(f"{path}: a file, where a folder was expected; choose another with out=") from None
    except OSError as error:
        raise OptionError(f"{path}: cannot be written ({error.strerror}); choose another folder with out=") from None


def _sync_folder(folder: Path) -> None:
    """Write a folder's list of names to the disk: without it the rename could be lost when the power fails."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    with suppress(OSError):  # some network disks cannot, and the file itself is there
        os.fsync(handle)
    os.close(handle)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
