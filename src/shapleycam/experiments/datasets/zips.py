"""`open_zip`: a dataset of the photographs in a zip archive; nothing is extracted."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePosixPath
from typing import IO

from PIL import Image

from shapleycam.errors import ImageError
from shapleycam.experiments.datasets.byte_sources import ByteSource, reason_of
from shapleycam.experiments.datasets.dataset import ENCODED_LIMIT, Dataset, Label, open_encoded_image
from shapleycam.experiments.datasets.folder_labels import label_by_folder
from shapleycam.foreign_errors import convert_errors
from shapleycam.images import is_companion, is_hidden, is_picture, warn_of_hidden
from shapleycam.printable import printable_name
from shapleycam.wording import on_one_line

_ENCRYPTED = 0x1
_NAME_IS_UTF8 = 0x800
_WINDOWS = 0


@dataclass(frozen=True, slots=True)
class _Entry:
    """A picture in an archive.

    Attributes:
        name: its name in the archive, as zipfile reads it.
        path: its path in the correct encoding; see `_path_of`.
        size: its size in bytes.
    """

    name: str
    path: str
    size: int


@dataclass(frozen=True, eq=False, repr=False)
class ZipDataset(Dataset):
    """Photographs in a zip archive; each process opens the archive once."""

    origin: str
    archive: ByteSource
    entries: Sequence[_Entry]
    names: Sequence[str]
    labels: Sequence[Label]
    classes: Sequence[str] | None = None

    def open(self, index: int) -> Image.Image:
        """Return a picture in the archive.

        Raises:
            ImageError: the archive cannot be read, or the picture is damaged or too large.
        """
        name, entry = self.names[index], self.entries[index]
        if entry.size > ENCODED_LIMIT:
            raise ImageError(f"{name}: {entry.size:,} bytes are too many for a picture; make it smaller")
        try:
            content = self._read(entry)
        except OSError as error:
            problem = f"{self.archive} cannot be read ({reason_of(error)}); check the file"
        except KeyError:
            problem = f"not in {self.archive} any more; the archive was changed: start again"
        except Exception as error:  # noqa: BLE001  # zipfile and its decompressors raise many types on a damaged archive
            problem = f"damaged, or packed in an unusual way ({on_one_line(error)[:200]}); unpack it"
        else:
            return open_encoded_image(content, name)
        # Not raised in the handlers, because the traceback of their error would keep the archive open.
        raise ImageError(f"{name}: {problem}")

    def _read(self, entry: _Entry) -> bytes:
        with self._archive().open(entry.name) as member:
            return member.read(entry.size)

    def _archive(self) -> zipfile.ZipFile:
        return _open(self.archive, self.archive.signature(), os.getpid())

    def content_signature(self, index: int) -> str:
        """Return the picture's size and checksum as the archive now states them; "missing" if it is not there."""
        try:
            info = self._archive().getinfo(self.entries[index].name)
        except (OSError, KeyError, zipfile.BadZipFile):
            return "missing"
        return _signature(info)


def open_zip(origin: str, archive: ByteSource) -> ZipDataset:
    """Return a dataset of the photographs in a zip archive; the label of each is its first folder.

    A top folder that contains everything else, often with the name of the archive, is not a label.

    Raises:
        ImageError: the archive cannot be read, is encrypted, has no photographs, has a name twice, or has a path that
            leads out of it.
    """
    try:
        with convert_errors(
            lambda error: ImageError(f"{origin}: not a whole zip archive ({on_one_line(error)[:200]}); get it again"),
            OSError,
        ):
            infos = _open(archive, archive.signature(), os.getpid()).infolist()
    except OSError as error:
        raise ImageError(f"{origin}: cannot be read ({reason_of(error)}); check the path and its permissions") from None
    pictures = list(_pictures(origin, infos))
    entries = sorted(
        (entry for entry in pictures if not is_hidden(entry.path)), key=lambda entry: entry.path.split("/")
    )
    if not entries:
        raise ImageError(f"{origin}: an archive without pictures; expected files such as .jpg or .png in it")
    warn_of_hidden(origin, [entry.path for entry in pictures if is_hidden(entry.path)])
    names = tuple(printable_name(entry.path) for entry in entries)
    labels, classes = label_by_folder(_without_common_folder(names, PurePosixPath(archive.path).stem))
    return ZipDataset(printable_name(origin), archive, tuple(entries), names, labels, classes)


def _pictures(origin: str, infos: Sequence[zipfile.ZipInfo]) -> Iterator[_Entry]:
    seen: set[str] = set()
    for info in infos:
        path = PurePosixPath(_path_of(info))
        if info.filename.endswith("/") or not is_picture(path.name) or any(map(is_companion, path.parts)):
            continue
        text = path.as_posix()
        if path.is_absolute() or ".." in path.parts:
            raise ImageError(
                f"{origin}: holds a file called {printable_name(text)!r}; expected paths that stay inside the archive"
            )
        if text in seen:
            raise ImageError(f"{origin}: {printable_name(text)} is there twice; expected each name once, pack it anew")
        if info.flag_bits & _ENCRYPTED:
            raise ImageError(
                f"{origin}: {printable_name(text)} is encrypted; unpack the archive with its password, and name the "
                "folder"
            )
        seen.add(text)
        yield _Entry(info.filename, text, info.file_size)


def _path_of(info: zipfile.ZipInfo) -> str:
    """Return a member's path in the correct encoding, with "/" between folders.

    If the archive does not declare that names are UTF-8, zipfile reads them as code page 437; but programs on Linux and
    macOS write UTF-8 without a declaration. Old Windows programs separate folders by backslashes.
    """
    name = info.filename
    if not info.flag_bits & _NAME_IS_UTF8:
        try:
            name = name.encode("cp437").decode()
        except UnicodeError:
            name = info.filename
    return name.replace("\\", "/") if info.create_system == _WINDOWS else name


def _signature(info: zipfile.ZipInfo) -> str:
    return f"{info.file_size} {info.CRC:08x}"


def _without_common_folder(names: Sequence[str], stem: str) -> list[str]:
    """Return names without the top folder that contains all of them, if this folder is not a class.

    It is not a class if it has the name of the archive, or if every photograph lies in a folder inside it.
    """
    tops = {name.partition("/")[0] for name in names if "/" in name}
    inner = [name.partition("/")[2] for name in names]
    if len(tops) == 1 and all(inner) and (tops == {stem} or all("/" in name for name in inner)):
        return inner
    return list(names)


class _OwningZipFile(zipfile.ZipFile):
    """An archive that closes the file that it was given, even if this file is not an archive."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        try:
            super().__init__(file)
        except BaseException:
            file.close()
            raise

    def close(self) -> None:
        """Close the archive and the file; the destructor of `ZipFile` calls this too."""
        super().close()
        self._file.close()


@lru_cache(maxsize=4)
def _open(archive: ByteSource, signature: str, process: int) -> zipfile.ZipFile:  # noqa: ARG001
    """Return an open archive from a cache.

    A changed archive is opened again. `process` is part of the key, because forks must not share a file position.
    """
    return _OwningZipFile(archive.open())
