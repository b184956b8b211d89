"""Opening regular files only: reading a pipe, a socket or a device may block for ever."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path, PurePath
from typing import IO

_KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def regular_file_status(path: str | Path) -> os.stat_result:
    """Return the `os.stat` result of a regular file.

    Raises:
        OSError: the file does not exist, or is not a regular file; the error's `strerror` says what it is.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = Path(folder, "a.jpg").write_bytes(b"abc")
        ...     regular_file_status(Path(folder, "a.jpg")).st_size
        3
    """
    try:
        status = os.stat(path)  # noqa: PTH116  Path.stat is slower, and datasets have many files
    except ValueError:  # a NUL, or a character that no file name can have
        raise OSError(errno.EINVAL, "its path holds a character that no file name can have", str(path)) from None
    _check_kind(path, status)
    return status


def open_regular_file(path: str | Path) -> IO[bytes]:
    """Return a regular file, open for reading bytes.

    Raises:
        OSError: as in `regular_file_status`, or the file cannot be opened.
    """
    regular_file_status(path)
    # A pipe may have replaced the file since this check: O_NONBLOCK opens it without waiting; then check again.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    file = os.fdopen(descriptor, "rb")
    try:
        _check_kind(path, os.fstat(descriptor))
    except OSError:
        file.close()
        raise
    return file


def _check_kind(path: str | Path, status: os.stat_result) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, "a folder", str(path))
    if not stat.S_ISREG(status.st_mode):
        kind = _KINDS.get(stat.S_IFMT(status.st_mode), "something else")
        raise OSError(errno.EINVAL, f"{kind}, no regular file", str(path))


def is_folder(path: str | PurePath) -> bool:
    """Return whether a path is a folder; False for a name that no file can have, for which `Path.is_dir` raises."""
    return os.path.isdir(path)  # noqa: PTH112


def is_file(path: str | PurePath) -> bool:
    """Return whether a path is a regular file; False for a name that no file can have (`Path.is_file` raises)."""
    return os.path.isfile(path)  # noqa: PTH113


def is_there(path: str | PurePath) -> bool:
    """Return whether a path exists; False for a name that no file can have, for which `Path.exists` raises."""
    return os.path.exists(path)  # noqa: PTH110
