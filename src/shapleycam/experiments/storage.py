"""Where results lie: a folder of this machine, or a URL of an object store or a shared file system."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from io import BytesIO
from pathlib import Path
from typing import IO, Any, TypeAlias
from uuid import uuid4

import pyarrow as pa
from filelock import FileLock, Timeout
from pyarrow import fs

from shapleycam.errors import OptionError
from shapleycam.files import UNFINISHED, make_folder, write_atomically
from shapleycam.wording import on_one_line

Location: TypeAlias = "str | Path | Storage"

_LOCK = "run.lock"
_OBJECTS = {"s3", "gcs", "abfs"}
"""What pyarrow calls stores in which a file is there when it is whole, and not before."""


class Storage(ABC):
    """Files under names with "/" between their parts; each is whole or absent. It can be pickled."""

    @abstractmethod
    def read(self, name: str) -> bytes:
        """A file's content.

        Raises:
            OSError: it is not there, or cannot be read.
        """

    @abstractmethod
    def write(self, name: str, fill: Callable[[IO[bytes]], object]) -> None:
        """Let `fill` write a file, or write it anew.

        Raises:
            OptionError: the disk is full, or the place cannot be written.
        """

    @abstractmethod
    def names(self, within: str = "") -> list[str]:
        """The files and folders right in a folder of this place, in order; none where it is not there.

        Raises:
            OptionError: the place cannot be reached.
        """

    @abstractmethod
    def lock(self) -> AbstractContextManager[None]:
        """Keep other writers out, where the place can; and clear away what killed ones left.

        Raises:
            OptionError: another process has the place, or it cannot be written.
        """

    @abstractmethod
    def __str__(self) -> str:
        """What the user calls it."""


class FolderStorage(Storage):
    """A folder of this machine, or one that machines share."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self, name: str) -> bytes:
        """As `Storage.read`."""
        return (self.path / name).read_bytes()

    def write(self, name: str, fill: Callable[[IO[bytes]], object]) -> None:
        """To a temporary name, brought to the disk, and renamed."""
        path = self.path / name
        make_folder(path.parent)
        write_atomically(path, fill)

    def names(self, within: str = "") -> list[str]:
        """As `Storage.names`, without the lock and what is being written."""
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

    @contextmanager
    def lock(self) -> Iterator[None]:
        """By a lock that the system takes back when the process ends, however it ends."""
        make_folder(self.path)
        try:
            held = FileLock(self.path / _LOCK).acquire(timeout=0)
        except Timeout:
            raise OptionError(
                f"{self}: another run writes to this folder; wait for it, or choose another out="
            ) from None
        with held:
            self._clear()
            yield
            self._clear()

    def _clear(self) -> None:
        """Remove what was being written by processes that were killed."""
        for left in self.path.rglob(f"{UNFINISHED}*"):
            if left.is_file():
                left.unlink(missing_ok=True)

    def __str__(self) -> str:
        return str(self.path)


class RemoteStorage(Storage):
    """A URL that pyarrow writes: s3, gs, abfs, hdfs, and by fsspec others; object stores get one PUT a file.

    They have no lock: two runs at once do the same work twice, under the same names.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._files, self._root = _file_system(self.url)

    def read(self, name: str) -> bytes:
        """As `Storage.read`."""
        with self._files.open_input_stream(self._at(name)) as file:
            return bytes(file.read())

    def write(self, name: str, fill: Callable[[IO[bytes]], object]) -> None:
        """By one PUT, or where there is a rename under a temporary name."""
        path, content = self._at(name), BytesIO()
        fill(content)
        try:
            if self._files.type_name in _OBJECTS:
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

    def names(self, within: str = "") -> list[str]:
        """As `Storage.names`."""
        try:
            found = self._files.get_file_info(fs.FileSelector(self._at(within), allow_not_found=True))
        except (OSError, pa.ArrowException) as error:
            raise OptionError(
                f"{self.url}: cannot be reached ({on_one_line(error)}); check the address and the credentials"
            ) from None
        return sorted(info.base_name for info in found if not info.base_name.startswith(UNFINISHED))

    @contextmanager
    def lock(self) -> Iterator[None]:
        """There is no lock to take."""
        yield

    def _put(self, path: str, content: bytes) -> None:
        with self._files.open_output_stream(path) as file:
            file.write(content)

    def _at(self, name: str) -> str:
        return f"{self._root}/{name}".rstrip("/")

    def __reduce__(self) -> tuple[type[RemoteStorage], tuple[str]]:
        return RemoteStorage, (self.url,)

    def __str__(self) -> str:
        return self.url


def open_storage(where: Location) -> Storage:
    """The place that a path or a URL means.

    Raises:
        OptionError: a URL of a kind that cannot be written, or whose library is not installed.
    """
    if isinstance(where, Storage):
        return where
    text = str(where)
    if isinstance(where, str) and text.startswith("file://"):
        return FolderStorage(Path(text.removeprefix("file://")))
    return RemoteStorage(text) if isinstance(where, str) and "://" in text else FolderStorage(Path(where))


def _file_system(url: str) -> tuple[Any, str]:
    """The file system for a URL, pyarrow's own or otherwise fsspec's, and the path in it."""
    scheme = url.partition("://")[0]
    own: Sequence[str] = ("s3", "gs", "gcs", "abfs", "abfss", "hdfs", "viewfs")
    asked = url if scheme in own or scheme.startswith("fsspec+") else f"fsspec+{url}"
    if scheme == "s3":  # so that a small file is one PUT, and not the three requests of a large one
        asked += f"{'&' if '?' in url else '?'}allow_delayed_open=true"
    try:
        files, path = fs.FileSystem.from_uri(asked)
    except (OSError, ValueError, ImportError, pa.ArrowException) as error:
        raise OptionError(
            f"{url}: cannot be used ({on_one_line(error)}); expected a folder, or a URL such as s3://bucket/run or "
            "gs://bucket/run (others need their fsspec package, such as adlfs or sshfs)"
        ) from None
    return files, path.rstrip("/")
