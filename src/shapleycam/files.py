"""Writing files atomically: a file is complete or does not exist, even after a power failure, on every system."""

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
"""Prefix of the names of files that are still being written."""
_IN_USE = (5, 32, 33)
"""Windows' error numbers if another program has the file open: access denied, sharing and lock violation."""
_SECONDS_BETWEEN_TRIES = (0.01, 0.03, 0.1, 0.3, 0.6)
_CANNOT_SYNC = (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS)
"""Errors of file systems without fsync, such as some network disks."""
_DEVICES = {"con", "prn", "aux", "nul", *(f"{port}{digit}" for port in ("com", "lpt") for digit in range(10))}
"""Names of devices on Windows, which apply in every folder and with every suffix."""


def write_atomically(path: Path, write: Callable[[IO[bytes]], object]) -> Path:
    """Write a file under a temporary name, rename it to `path` when it is complete, and return `path`.

    `write` is called with the open binary file.

    Raises:
        OptionError: the file cannot be written; `path` is then unchanged.
    """
    unfinished = path.parent / f"{UNFINISHED}{uuid4().hex}"
    # tempfile is not used: its files are readable by their owner only, and in a folder without write permission on
    # Windows it tries billions of names.
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
        with suppress(OSError):  # a virus scanner may have the file open; the next run in this folder removes it
            unfinished.unlink(missing_ok=True)
    return path


def make_folder(path: Path) -> Path:
    """Create a folder unless it exists, check that files can be written to it, and return it.

    Raises:
        OptionError: the folder cannot be created, or files cannot be written to it.
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
    """Return a file or folder name for a text that is valid on every system; different texts get different names.

    Everything except letters, digits and `_.-~` is percent-encoded. A dot at the end is encoded too, because Windows
    drops it, and so is the first letter of a name of a Windows device.

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
    """Rename a file and replace any file at `path`; on Windows, retry for about a second if that file is in use."""
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
    """Flush a file's content to the disk, if the file system supports it."""
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in _CANNOT_SYNC:
            raise


def _sync_folder(folder: Path) -> None:
    """Flush a folder's directory to the disk, because otherwise a power failure could undo the rename."""
    if os.name != "posix":
        return
    with suppress(OSError):  # some disks cannot, or the folder cannot be read; the file itself is complete in any case
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
