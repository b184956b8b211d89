"""`Storage`: files by name, which are either complete or absent."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import IO


class Storage(ABC):
    """Files by name, with "/" as the separator; each file is either complete or absent. A storage can be pickled.

    Examples:
        >>> import tempfile
        >>> from shapleycam.experiments.storage import open_storage
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     storage = open_storage(folder)
        ...     storage.write("rows/first", lambda file: file.write(b"1"))
        ...     storage.names("rows"), storage.read("rows/first")
        (['first'], b'1')
    """

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
