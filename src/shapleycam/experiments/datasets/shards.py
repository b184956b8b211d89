"""`list_members`: the members of a tar shard with the positions of their bytes; nothing is extracted."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import IO

from shapleycam.errors import DatasetWarning, ImageError, warn
from shapleycam.experiments.datasets.byte_sources import ByteSource, reason_of
from shapleycam.foreign_errors import convert_errors
from shapleycam.images import SUFFIXES
from shapleycam.printable import printable_name
from shapleycam.wording import counted, on_one_line

_BLOCK = 512
LABEL_SUFFIXES = ("cls", "json")
_LABEL_LIMIT = 1 << 20
"""Maximum size of a file with a label, in bytes."""


@dataclass(frozen=True, slots=True)
class Member:
    """A file in a shard.

    Attributes:
        shard: the shard.
        key: the file's path up to the first dot in its base name.
        suffix: the rest of its base name after this dot, in lower case.
        offset: position of the file's first byte in the shard.
        size: size of the file in bytes.
        text: the content, if the file holds a label; None for other files.
    """

    shard: ByteSource
    key: str
    suffix: str
    offset: int
    size: int
    text: bytes | None = None

    @property
    def name(self) -> str:
        """Return the name of the member for messages."""
        return printable_name(f"{self.shard}: {self.key}.{self.suffix}")

    def content(self) -> bytes:
        """Return the member's bytes.

        Raises:
            ImageError: the shard cannot be read any more, or is shorter than it was.
        """
        try:
            content = self.shard.read(self.offset, self.size)
        except OSError as error:
            raise ImageError(f"{self.name} cannot be read ({reason_of(error)}); check the shard") from None
        if len(content) != self.size:
            raise ImageError(f"{self.name} is cut short; the shard was changed: start again")
        return content


def list_members(shard: ByteSource) -> Iterator[Member]:
    """Yield the files of a shard in order, without folders, devices and webdataset's `__notes__`.

    A hard link to an earlier file in the shard is read as this file. Pictures that are other links are left out, with a
    `DatasetWarning`.

    Raises:
        ImageError: the shard cannot be read, is not a plain tar, is truncated, or holds a file whose path leads out of
            the shard.
    """
    links: list[str] = []
    errors_of_headers = convert_errors(
        lambda error: ImageError(f"{shard}: damaged ({on_one_line(error)}); get the shard again"),
        tarfile.TarError,
        OSError,
    )
    try:
        with errors_of_headers, shard.open() as file:
            with tarfile.open(fileobj=file, mode="r:") as tar:
                yield from _members(shard, file, tar, links)
                end = tar.offset
            file.seek(end)
            end_mark = file.read(_BLOCK)
    except tarfile.TarError as error:
        raise _tar_error(shard, error) from None
    except OSError as error:
        raise ImageError(f"{shard}: cannot be read ({reason_of(error)}); check the path and its permissions") from None
    if len(end_mark) < _BLOCK or any(end_mark):
        raise _truncated(shard)
    if links:
        warn(
            DatasetWarning,
            f"{shard}: {counted(len(links), 'picture')} left out that only link to other files "
            f"({printable_name(links[0])}{', …' if len(links) > 1 else ''}); pack the files themselves (tar -h)",
        )


def _members(shard: ByteSource, file: IO[bytes], tar: tarfile.TarFile, links: list[str]) -> Iterator[Member]:
    """Yield the members of an open shard; append the paths of pictures that are links to `links`."""
    by_path: dict[str, Member] = {}
    for info in tar:
        member = _member_of(shard, info, by_path)
        if member is None:
            if not (info.isreg() or info.isdir()) and PurePosixPath(info.name).suffix.lower() in SUFFIXES:
                links.append(info.name)
            continue
        by_path[PurePosixPath(info.name).as_posix()] = member
        if member.suffix in LABEL_SUFFIXES:
            member = replace(member, text=_read_label(file, member))
        yield member


def _member_of(shard: ByteSource, info: tarfile.TarInfo, by_path: dict[str, Member]) -> Member | None:
    """Return the member for a tar header, or None if the entry is not used; `by_path` has the earlier members."""
    path = PurePosixPath(info.name)
    if any(part.startswith("__") and part.endswith("__") for part in path.parts):
        return None
    linked = by_path.get(PurePosixPath(info.linkname).as_posix()) if info.islnk() else None
    if not info.isreg() and linked is None:
        return None
    if path.is_absolute() or ".." in path.parts or info.issparse():
        raise ImageError(
            f"{shard}: holds a file called {info.name!r}; expected plain files with paths that stay inside the shard"
        )
    base, dot, suffix = path.name.partition(".")
    if not base or not dot:
        return None
    offset, size = (info.offset_data, info.size) if linked is None else (linked.offset, linked.size)
    return Member(shard, (path.parent / base).as_posix(), suffix.lower(), offset, size)


def _read_label(file: IO[bytes], member: Member) -> bytes:
    if member.size > _LABEL_LIMIT:
        raise ImageError(f"{member.name} has {member.size:,} bytes; expected a label of at most {_LABEL_LIMIT:,}")
    file.seek(member.offset)  # does not disturb tarfile, which seeks before it reads the next header
    return file.read(member.size)


def _tar_error(shard: ByteSource, error: tarfile.TarError) -> ImageError:
    if "end of data" in str(error):
        return _truncated(shard)
    return ImageError(f"{shard}: not a plain .tar ({on_one_line(error)}); unpack a compressed one, or get it again")


def _truncated(shard: ByteSource) -> ImageError:
    return ImageError(f"{shard}: damaged or cut short, no end-of-archive mark follows its last file; get it again")
