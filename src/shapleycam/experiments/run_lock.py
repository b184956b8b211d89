"""`acquire_lock`: a lock on a folder of results, which the operating system releases whenever the process ends."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from filelock import FileLock, SoftFileLock, Timeout

from shapleycam.errors import OptionError, WeakLockWarning, warn
from shapleycam.files import UNFINISHED


@contextmanager
def acquire_lock(path: Path) -> Iterator[None]:
    """Hold the lock on a file while the context lasts; the file is created if it does not exist.

    If the file system has no locks, the existence of the file is the lock, and there is a warning.

    Raises:
        OptionError: another process holds the lock, or the file cannot be locked.
    """
    _refuse_other_than_file(path)
    has_locks = True
    try:
        has_locks = _has_locks(path.parent)
        lock = FileLock(path, fallback_to_soft=False) if has_locks else SoftFileLock(path)
        held = lock.acquire(timeout=0)
    except Timeout:
        removal = "" if has_locks else f"remove {path.name} if it was killed, "
        raise OptionError(
            f"{path.parent}: another run writes to this folder; wait for it, {removal}or choose another out="
        ) from None
    except OSError as error:
        raise OptionError(
            f"{path}: cannot be locked ({error.strerror or error}); remove the file if no other run writes to this "
            "folder, or choose another out="
        ) from None
    with held:
        if not has_locks:
            warn(
                WeakLockWarning,
                f"{path.parent}: its file system has no locks, so that {path.name} stays there when this process is "
                "killed; remove it then, if the run does not go on",
            )
        yield


def _refuse_other_than_file(path: Path) -> None:
    """Refuse a link, which would lock or create a file elsewhere, and anything else that is not a plain file."""
    kind = "a link" if path.is_symlink() else "a folder" if path.is_dir() else "no plain file"
    if path.is_symlink() or (path.exists() and not path.is_file()):
        raise OptionError(f"{path}: {kind}, where the lock of a run was expected; remove it, or choose another out=")


def _has_locks(folder: Path) -> bool:
    """Return whether the file system of a folder has locks, by locking a temporary file.

    filelock has its own fallback to a lock by existence, but its versions report this differently. Without the
    fallback it leaves the file that it could not lock, which then looks like the lock of another run.
    """
    trial = folder / f"{UNFINISHED}{uuid4().hex}"
    try:
        with FileLock(trial, timeout=0, fallback_to_soft=False):
            return True
    except OSError as error:
        if error.errno == errno.ENOSYS:
            return False
        raise
    finally:
        trial.unlink(missing_ok=True)
