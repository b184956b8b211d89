"""`ByteSource`: a local or remote file that is read in parts, such as a shard or an archive."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import IO

from shapleycam.regular_files import open_regular_file
from shapleycam.wording import on_one_line

_SAMPLE_BYTES = 4096


class ByteSource(ABC):
    """A file that is read in parts; it can be pickled, compared and hashed.

    `path` is the path of the file, with "/" between its parts.
    """

    path: str

    @abstractmethod
    def open(self) -> IO[bytes]:
        """Open the file for reading and seeking.

        Raises:
            OSError: the file cannot be read, or has changed since the dataset was opened.
        """

    @abstractmethod
    def signature(self, start: int = 0, size: int | None = None) -> str:
        """Return a cheap text that changes with a part of the file; "missing" if the file cannot be read."""

    def read(self, start: int, size: int) -> bytes:
        """Return `size` bytes from a position on, or fewer if the file ends earlier.

        Raises:
            OSError: as `open`.
        """
        with self.open() as file:
            file.seek(start)
            return file.read(size)


@dataclass(frozen=True)
class LocalFile(ByteSource):
    """A file on this machine."""

    path: str

    def open(self) -> IO[bytes]:
        """Open the file."""
        return open_regular_file(self.path)

    def signature(self, start: int = 0, size: int | None = None) -> str:
        """Return the size in bytes of the file, or of a part of it, and the SHA-256 of 4 KiB in its middle.

        This detects a picture that was exchanged for another of the same size, without reading the whole file.
        """
        try:
            with self.open() as file:
                return sample_signature(file, start, size)
        except OSError:
            return "missing"

    def __str__(self) -> str:
        return self.path


def sample_signature(file: IO[bytes], start: int = 0, size: int | None = None) -> str:
    """Return the size in bytes of an open file, or of a part of it, and the SHA-256 of 4 KiB in its middle."""
    size = file.seek(0, 2) - start if size is None else size
    file.seek(start + max(0, (size - _SAMPLE_BYTES) // 2))
    sample = file.read(min(size, _SAMPLE_BYTES))
    return f"{size} {hashlib.sha256(sample).hexdigest()}"


def reason_of(error: OSError) -> str:
    """Return the reason why a file cannot be read, without the file's name."""
    return error.strerror or on_one_line(error)
