"""Storage of a run's results: a local folder, or a URL of an object store or a shared file system.

There are three reasons not to use fsspec here.

- A file must be either complete or absent. A folder needs fsync and a rename for that, which fsspec does not do; an
  object store needs a single PUT, for which fsspec makes several requests.
- A run must be locked while it is written, and the system must release the lock of a killed process.
- Object stores must work with pyarrow, which is a dependency, without further packages.

fsspec is used for all other URLs.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from io import BytesIO
from pathlib import Path
from typing import IO, Any, TypeAlias
from uuid import uuid4

import pyarrow as pa
from pyarrow import fs

from shapleycam.errors import OptionError
from shapleycam.experiments.run_lock import acquire_lock
from shapleycam.files import UNFINISHED, make_folder, write_atomically
from shapleycam.printable import printable_text
from shapleycam.urls import path_of_file_url
from shapleycam.wording import on_one_line

Location: TypeAlias = "str | Path | Storage"
"""A path, a URL, or an open storage."""

_LOCK = "run.lock"
_OBJECT_STORES = {"s3", "gcs", "abfs"}
"""pyarrow's names of file systems in which a file appears only when its upload is complete."""
_PYARROW_SCHEMES = ("s3", "gs", "gcs", "abfs", "abfss", "hdfs", "viewfs")
"""Schemes of URLs that pyarrow opens itself; it opens others by fsspec."""


class Storage(ABC):
    """Files by name, with "/" as the separator; each file is either complete or absent. A storage can be pickled."""

    @abstractmethod
    def read(self, name: str) -> bytes:
        """Return the content of a file.

        Raises:
            OSError: the file does not exist, or cannot be read.
        """

    @abstractmethod
    def write(self, name: str, fill: Callable[[IO[bytes]], object]) -> None:
        """Write a file by calling `fill`; an existing file of this name is replaced.

        Raises:
            OptionError: the disk is full, or the storage cannot be written.
        """

    @abstractmethod
    def remove(self, name: str) -> None:
        """Remove a file that is not needed any more, and folders that are then empty; errors are ignored."""

    @abstractmethod
    def names(self, within: str = "") -> list[str]:
        """Return the sorted names of files and folders directly in a folder; an empty list if there is no such folder.

        Raises:
            OptionError: the storage cannot be reached.
        """

    @abstractmethod
    def version(self, name: str) -> str:
        """Return a text that changes when a file is written again: its size and modification time.

        Raises:
            OSError: the file does not exist, or the storage cannot be reached.
        """

    @abstractmethod
    def lock(self) -> AbstractContextManager[None]:
        """Lock out other writers, if the storage has locks; remove unfinished files of killed processes.

        Raises:
            OptionError: another process holds the lock, or the storage cannot be written.
        """

    @abstractmethod
    def __str__(self) -> str:
        """Return the path or URL as the user writes it."""


class FolderStorage(Storage):
    """A folder of this machine, or one that machines share."""

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


class RemoteStorage(Storage):
    """A URL that pyarrow (s3, gs, abfs, hdfs) or fsspec writes; object stores get a single PUT for each file.

    It has no lock: two concurrent runs do the same work twice, and write the same files under the same names.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._files, self._root = _open_file_system(self.url)

    def read(self, name: str) -> bytes:
        """Return the content of a file, as `Storage.read`."""
        with self._files.open_input_stream(self._path_of(name)) as file:
            return bytes(file.read())

    def write(self, name: str, fill: Callable[[IO[bytes]], object]) -> None:
        """Write a file by a single PUT, or with a rename on file systems that have it, as `Storage.write`."""
        path, content = self._path_of(name), BytesIO()
        fill(content)
        try:
            if self._files.type_name in _OBJECT_STORES:
                self._put(path, content.getvalue())
                return
            parent, _, last = path.rpartition("/")
            self._files.create_dir(parent, recursive=True)
            unfinished = f"{parent}/{UNFINISHED}{uuid4().hex}-{last}"
            self._put(unfinished, content.getvalue())
            self._files.move(unfinished, path)
        except (OSError, pa.ArrowException) as error:
            raise OptionError(
                f"{self.url}: {name} cannot be written ({on_one_line(error)}); check the address and the credentials"
            ) from None

    def remove(self, name: str) -> None:
        """Remove a file, as `Storage.remove`; empty folders are not removed, since object stores have none."""
        with suppress(OSError, pa.ArrowException):
            self._files.delete_file(self._path_of(name))

    def names(self, within: str = "") -> list[str]:
        """Return the names in a folder, as `Storage.names`."""
        try:
            entries = self._files.get_file_info(fs.FileSelector(self._path_of(within), allow_not_found=True))
        except (OSError, pa.ArrowException) as error:
            raise OptionError(
                f"{self.url}: cannot be reached ({on_one_line(error)}); check the address and the credentials"
            ) from None
        return sorted(entry.base_name for entry in entries if not entry.base_name.startswith(UNFINISHED))

    def version(self, name: str) -> str:
        """Return the size of a file and when it was written, as `Storage.version`."""
        (entry,) = self._files.get_file_info([self._path_of(name)])
        if entry.type == fs.FileType.NotFound:
            raise FileNotFoundError(name)
        return f"{entry.size}-{entry.mtime_ns}"

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Do nothing: object stores have no lock that is released when its process ends."""
        yield

    def _put(self, path: str, content: bytes) -> None:
        with self._files.open_output_stream(path) as file:
            file.write(content)

    def _path_of(self, name: str) -> str:
        return f"{self._root}/{name}".rstrip("/")

    def __reduce__(self) -> tuple[type[RemoteStorage], tuple[str]]:
        # A file system of pyarrow or fsspec may hold connections; another process opens its own.
        return RemoteStorage, (self.url,)

    def __str__(self) -> str:
        return self.url


def open_storage(location: Location) -> Storage:
    """Return the storage at a path or a URL; an open storage is returned unchanged.

    Raises:
        OptionError: the URL has a scheme that cannot be written, or whose library is not installed.

    Examples:
        >>> from shapleycam.experiments.storage import open_storage
        >>> print(open_storage("memory://results/run/"))
        memory://results/run
    """
    if isinstance(location, Storage):
        return location
    text = str(location)
    if isinstance(location, str) and text.startswith("file://"):
        return FolderStorage(Path(path_of_file_url(text)))
    if isinstance(location, str) and "://" in text:
        return RemoteStorage(text)
    return FolderStorage(Path(location))


def _open_file_system(url: str) -> tuple[Any, str]:
    """Return the file system of a URL (pyarrow's own, otherwise fsspec's), and the path in it."""
    scheme = url.partition("://")[0]
    address = url if scheme in _PYARROW_SCHEMES or scheme.startswith("fsspec+") else f"fsspec+{url}"
    if scheme == "s3":  # a small file then takes a single PUT instead of three requests
        address += f"{'&' if '?' in url else '?'}allow_delayed_open=true"
    try:
        files, path = fs.FileSystem.from_uri(address)
    except (OSError, ValueError, ImportError, pa.ArrowException) as error:
        raise OptionError(
            f"{url}: cannot be used ({on_one_line(error)}); expected a folder, or a URL such as s3://bucket/run or "
            "gs://bucket/run (others need their fsspec package, such as adlfs or sshfs)"
        ) from None
    return files, path.rstrip("/")
