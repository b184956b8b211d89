"""Files whose bytes are read in pieces, here or at a URL: shards, archives, tables of pictures, photographs."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import IO

from shapleycam.regular_files import open_regular_file
from shapleycam.wording import on_one_line

_SAMPLE_BYTES = 4096


class ByteSource(ABC):
    """A file that is read in pieces; it can be pickled, compared and hashed.

    `path` is where it lies, with "/" between its parts.
    """

    path: str

    @abstractmethod
    def open(self) -> IO[bytes]:
        """Open the file to read and seek.

        Raises:
            OSError: it cannot be read, or is not the file any more that it was.
        """

    @abstractmethod
    def signature(self, start: int = 0, size: int | None = None) -> str:
        """Return what shows cheaply that a part of the file has changed; "missing" where it cannot be read."""

    def read(self, start: int, size: int) -> bytes:
        """Return bytes from a position on: fewer where the file ends before.

        Raises:
            OSError: as `open`.
        """
        with self.open() as file:
            file.seek(start)
            return file.read(size)


@dataclass(frozen=True)
class LocalFile(ByteSource):
    """A file of this machine."""

    path: str

    def open(self) -> IO[bytes]:
        """Open the file."""
        return open_regular_file(self.path)

    def signature(self, start: int = 0, size: int | None = None) -> str:
        """Return the size in bytes of the file, or of a part of it, and the SHA-256 of 4 KiB in its middle.

        A picture that is exchanged for another of the same size is noticed, and a large dataset is not read whole.
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
    """Return why a file cannot be read, without its name."""
    return error.strerror or on_one_line(error)
