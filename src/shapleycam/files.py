"""Files out: whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO

from shapleycam.errors import OptionError


def write_whole(path: Path, write: Callable[[IO[bytes]], object]) -> Path:
    """Let `write` fill a file beside `path` and give it that name when it is complete.

    Raises:
        OptionError: the folder cannot be written.
    """
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".shapleycam-")
    except OSError as error:
        raise OptionError(f"{path.parent}: cannot be written ({error.strerror}); choose another folder") from None
    try:
        with os.fdopen(handle, "wb") as file:
            write(file)
        Path(name).chmod(0o666 & ~_umask())  # mkstemp makes private files
        Path(name).replace(path)
    except OSError as error:
        raise OptionError(f"{path}: cannot be written ({error.strerror or error}); nothing was left there") from None
    finally:
        Path(name).unlink(missing_ok=True)
    return path


def folder(path: Path) -> Path:
    """The folder, made if need be, and seen to be writable.

    Raises:
        OptionError: it cannot be made or written.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            return path
    except FileExistsError:
        raise OptionError(f"{path}: a file, where a folder was expected; choose another with --out") from None
    except OSError as error:
        raise OptionError(f"{path}: cannot be written ({error.strerror}); choose another folder with --out") from None


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
