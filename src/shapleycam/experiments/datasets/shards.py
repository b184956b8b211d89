"""The members of a tar shard and where their bytes are, without extracting anything."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from shapleycam.errors import ImageError
from shapleycam.wording import on_one_line

_BLOCK = 512


@dataclass(frozen=True)
class Member:
    """A file in a shard: `size` bytes from `offset` on. `key` is its path up to the first dot of its base name."""

    shard: Path
    key: str
    suffix: str
    offset: int
    size: int

    @property
    def name(self) -> str:
        """Return how messages call the member."""
        return f"{self.shard}: {self.key}.{self.suffix}"

    def content(self) -> bytes:
        """Return the member's bytes.

        Raises:
            ImageError: the shard cannot be read any more, or is shorter than it was.
        """
        try:
            with self.shard.open("rb") as file:
                file.seek(self.offset)
                content = file.read(self.size)
        except OSError as error:
            raise ImageError(f"{self.name} cannot be read ({error.strerror}); check the shard") from None
        if len(content) != self.size:
            raise ImageError(f"{self.name} is cut short; the shard was changed: start again")
        return content


def list_members(shard: Path) -> Iterator[Member]:
    """Yield the files of a shard in its order, without folders, links, devices and webdataset's `__notes__`.

    Raises:
        ImageError: it cannot be read, is no plain tar, is cut short, or holds a file whose path leads out of it.
    """
    try:
        with tarfile.open(shard, "r:") as tar:
            for info in tar:
                yield from _members_of(shard, info)
            end = tar.offset
        with shard.open("rb") as file:
            file.seek(end)
            end_mark = file.read(_BLOCK)
    except ImageError:
        raise
    except tarfile.TarError as error:
        raise _tar_error(shard, error) from None
    except OSError as error:
        raise ImageError(f"{shard}: cannot be read ({error.strerror}); check the path and its permissions") from None
    except Exception as error:  # tarfile raises errors of other types on a hostile header
        raise ImageError(f"{shard}: damaged ({on_one_line(error)}); get the shard again") from error
    if len(end_mark) < _BLOCK or any(end_mark):
        raise _truncated(shard)


def _members_of(shard: Path, info: tarfile.TarInfo) -> Iterator[Member]:
    """Yield the member of a header, if it is one."""
    path = PurePosixPath(info.name)
    if not info.isreg() or any(part.startswith("__") and part.endswith("__") for part in path.parts):
        return
    if path.is_absolute() or ".." in path.parts or info.issparse():
        raise ImageError(
            f"{shard}: holds a file called {info.name!r}; expected plain files with paths that stay inside the shard"
        )
    base, dot, suffix = path.name.partition(".")
    if base and dot:
        yield Member(shard, (path.parent / base).as_posix(), suffix.lower(), info.offset_data, info.size)


def _tar_error(shard: Path, error: tarfile.TarError) -> ImageError:
    if "end of data" in str(error):
        return _truncated(shard)
    return ImageError(f"{shard}: not a plain .tar ({on_one_line(error)}); unpack a compressed one, or get it again")


def _truncated(shard: Path) -> ImageError:
    return ImageError(f"{shard}: damaged or cut short, no end-of-archive mark follows its last file; get it again")
