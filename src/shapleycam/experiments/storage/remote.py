"""`RemoteStorage`: results at a URL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import BytesIO
from typing import IO, Any
from uuid import uuid4

import pyarrow as pa
from pyarrow import fs

from shapleycam.errors import OptionError
from shapleycam.experiments.storage.base import Storage
from shapleycam.files import UNFINISHED
from shapleycam.urls import PYARROW_SCHEMES
from shapleycam.wording import on_one_line

_OBJECT_STORES = {"s3", "gcs", "abfs"}
"""pyarrow's names of file systems in which a file appears only when its upload is complete."""


class RemoteStorage(Storage):
    """A URL that pyarrow (s3, gs, abfs, hdfs) or fsspec writes; object stores get a single PUT for each file.

    It has no lock: two concurrent runs do the same work twice, and write the same files under the same names.

    Examples:
        >>> from shapleycam.experiments.storage import RemoteStorage
        >>> RemoteStorage("memory://results/another_run").names()
        []
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


def _open_file_system(url: str) -> tuple[Any, str]:
    """Return the file system of a URL (pyarrow's own, otherwise fsspec's), and the path in it."""
    scheme = url.partition("://")[0]
    address = url if scheme in PYARROW_SCHEMES or scheme.startswith("fsspec+") else f"fsspec+{url}"
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
