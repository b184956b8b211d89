"""The lock of a folder of results, which the system takes back from a process that ends, however it ends."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, SoftFileLock, Timeout

from shapleycam.errors import OptionError, WeakLockWarning, warn


@contextmanager
def acquire_lock(path: Path) -> Iterator[None]:
    """Hold the lock on a file, which is made if it is not there, while the context lasts.

    Where the file system has no locks, the file itself says who holds it, and a warning says so.

    Raises:
        OptionError: another process holds the lock, or the file cannot be locked.
    """
    _refuse_other_than_file(path)
    warnings.filterwarnings("ignore", "flock not supported")  # ours says what to do
    lock = FileLock(path)
    try:
        held = lock.acquire(timeout=0)
    except Timeout:
        raise OptionError(f"{path.parent}: another run writes to this folder; {_advice(lock, path)}") from None
    except (OSError, NotImplementedError) as error:
        reason = getattr(error, "strerror", None) or error
        raise OptionError(
            f"{path}: cannot be locked ({reason}); remove the file if no other run writes to this folder, or choose "
            "another out="
        ) from None
    with held:
        if isinstance(lock, SoftFileLock):
            warn(
                WeakLockWarning,
                f"{path.parent}: its file system has no locks, so that {path.name} stays there when this process is "
                "killed; remove it then, if the run does not go on",
            )
        yield


def _refuse_other_than_file(path: Path) -> None:
    """Refuse a link, which would have a file locked, or made, elsewhere; and what is no file."""
    kind = "a link" if path.is_symlink() else "a folder" if path.is_dir() else "no plain file"
    if path.is_symlink() or (path.exists() and not path.is_file()):
        raise OptionError(f"{path}: {kind}, where the lock of a run was expected; remove it, or choose another out=")


def _advice(lock: FileLock | SoftFileLock, path: Path) -> str:
    if isinstance(lock, SoftFileLock):
        return f"wait for it, remove {path.name} if it was killed, or choose another out="
    return "wait for it, or choose another out="
