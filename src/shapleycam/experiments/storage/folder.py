"""`FolderStorage`: results in a folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from shapleycam.errors import OptionError
from shapleycam.experiments.run_lock import acquire_lock
from shapleycam.experiments.storage.base import Storage
from shapleycam.files import UNFINISHED, make_folder, write_atomically
from shapleycam.printable import printable_text

_LOCK = "run.lock"


class FolderStorage(Storage):
    """A folder of this machine, or one that machines share.

    Examples:
        >>> from pathlib import Path
        >>> from shapleycam.experiments.storage import FolderStorage
        >>> FolderStorage(Path("no such folder")).names()
        []
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self, name: str) -> bytes:
        """Return the content of a file, as `Storage.read`."""
        return (self.path / name).read_bytes()

    def write(self, name: str, fill: Callable[[IO[bytes]], object]) -> None:
        """Write a file under a temporary name, flush it to disk, and rename it, as `Storage.write`."""
        path = self.path / name
        make_folder(path.parent)
        write_atomically(path, fill)

    def remove(self, name: str) -> None:
        """Remove a file, as `Storage.remove`."""
        with suppress(OSError):
            (self.path / name).unlink(missing_ok=True)
            for folder in Path(name).parents[:-1]:
                (self.path / folder).rmdir()

    def names(self, within: str = "") -> list[str]:
        """Return the names in a folder, as `Storage.names`, without the lock and unfinished files."""
        path = self.path / within
        try:
            entries = list(path.iterdir()) if path.is_dir() else []
        except OSError as error:
            raise OptionError(f"{path}: cannot be read ({error.strerror}); check its permissions") from None
        return sorted(
            entry.name
            for entry in entries
            if entry.name != _LOCK and not (entry.name.startswith(UNFINISHED) and entry.is_file())
        )

    def version(self, name: str) -> str:
        """Return the size of a file and when it was written, as `Storage.version`."""
        status = (self.path / name).stat()
        return f"{status.st_size}-{status.st_mtime_ns}"

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold a file lock, as `Storage.lock`; the system releases it when the process ends, even if it is killed."""
        make_folder(self.path)
        with acquire_lock(self.path / _LOCK):
            self._remove_unfinished()
            yield
            self._remove_unfinished()

    def _remove_unfinished(self) -> None:
        """Remove files that killed processes were writing; errors are ignored, since such files do no harm."""
        for path in self.path.rglob(f"{UNFINISHED}*"):
            with suppress(OSError):
                if path.is_file():
                    path.unlink()

    def __str__(self) -> str:
        return printable_text(str(self.path))
