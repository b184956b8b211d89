"""Writing files so that they are whole or not there at all, also when the power fails, on every system."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO
from urllib.parse import quote
from uuid import uuid4

from shapleycam.errors import OptionError

UNFINISHED = ".shapleycam-"
"""The beginning of the names of files that are still being written."""
_IN_USE = (5, 32, 33)
"""Windows' error numbers where another program has the file open: access denied, sharing and lock violation."""
_SECONDS_BETWEEN_TRIES = (0.01, 0.03, 0.1, 0.3, 0.6)
_CANNOT_SYNC = (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS)
"""Errors of disks that have no fsync, such as some network disks."""
_DEVICES = {"con", "prn", "aux", "nul", *(f"{port}{digit}" for port in ("com", "lpt") for digit in range(10))}
"""Names that are devices on Windows, in every folder and with every suffix."""


def write_atomically(path: Path, write: Callable[[IO[bytes]], object]) -> Path:
    """Write a file under a temporary name, rename it to `path` when it is complete, and return `path`.

    `write` is called with the open binary file.

    Raises:
        OptionError: the file cannot be written; nothing is left at `path` then, or what was there before.
    """
    unfinished = path.parent / f"{UNFINISHED}{uuid4().hex}"
    # Not by tempfile, which makes private files, and tries billions of names in a folder that Windows does not let it
    # write to.
    try:
        file = unfinished.open("xb")
    except OSError as error:
        raise OptionError(f"{path.parent}: cannot be written ({_reason(error)}); choose another folder") from None
    try:
        with file:
            write(file)
            file.flush()
            _sync(file.fileno())
        _rename(unfinished, path)
        _sync_folder(path.parent)
    except OSError as error:
        remedy = "close the program that has it open" if _is_in_use(error) else "nothing was left there"
        raise OptionError(f"{path}: cannot be written ({_reason(error)}); {remedy}") from None
    finally:
        with suppress(OSError):  # a virus scanner may have it open; the next run in this folder removes it
            unfinished.unlink(missing_ok=True)
    return path


def make_folder(path: Path) -> Path:
    """Create a folder, unless it is there, check that it can be written to, and return it.

    Raises:
        OptionError: it cannot be made or written.
    """
    trial = path / f"{UNFINISHED}{uuid4().hex}"
    try:
        path.mkdir(parents=True, exist_ok=True)
        trial.open("xb").close()
        with suppress(OSError):
            trial.unlink()
    except FileExistsError:
        raise OptionError(f"{path}: a file, where a folder was expected; choose another with out=") from None
    except OSError as error:
        raise OptionError(f"{path}: cannot be written ({_reason(error)}); choose another folder with out=") from None
    return path


def portable_name(text: str) -> str:
    """Return a text as a name that a file or folder may have on every system; different texts have different names.

    Everything but letters, digits and `_.-~` is percent-encoded, and so are a dot at the end, which Windows drops, and
    the first letter of the names of Windows' devices.

    Examples:
        >>> portable_name("timm:resnet18"), portable_name(".."), portable_name("aux.1"), portable_name("layer4.1")
        ('timm%3Aresnet18', '.%2E', '%61ux.1', 'layer4.1')
    """
    name = quote(text, safe="", errors="surrogatepass")
    if name.endswith("."):
        name = f"{name[:-1]}%2E"
    if name.partition(".")[0].lower() in _DEVICES:
        name = f"%{ord(name[0]):02X}{name[1:]}"
    return name


def _rename(unfinished: Path, path: Path) -> None:
    """Rename a file, over one that has the name; where Windows has that in use, try again for a second."""
    for seconds in _SECONDS_BETWEEN_TRIES:
        try:
            unfinished.replace(path)
        except OSError as error:
            if not _is_in_use(error):
                raise
            time.sleep(seconds)
        else:
            return
    unfinished.replace(path)


def _is_in_use(error: OSError) -> bool:
    return getattr(error, "winerror", None) in _IN_USE


def _reason(error: OSError) -> str:
    return error.strerror or str(error)


def _sync(handle: int) -> None:
    """Write a file's content to the disk, where the disk can say when it is there."""
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in _CANNOT_SYNC:
            raise


def _sync_folder(folder: Path) -> None:
    """Write a folder's list of names to the disk: without it the rename could be lost when the power fails."""
    if os.name != "posix":
        return
    with suppress(OSError):  # some disks cannot, or the folder cannot be read; the file itself is there
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
