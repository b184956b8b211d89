"""Code that all readers of annotations share: search by the photograph's name, reading of files, fingerprints."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path, PurePosixPath

from shapleycam.errors import ImageError, ShapleyCamError
from shapleycam.experiments.datasets.regions import Annotations, Region
from shapleycam.images import walk_files
from shapleycam.printable import printable_name
from shapleycam.regular_files import open_regular_file, regular_file_status
from shapleycam.wording import counted

FILE_LIMIT = 1 << 30
"""Maximum size of an annotation file in bytes."""
_MASK_LIMIT = 1 << 31
"""Maximum number of pixels of all masks of one photograph; each takes a byte of memory."""


def _without_suffix(name: str) -> str:
    return PurePosixPath(name).with_suffix("").as_posix() if PurePosixPath(name).name else name


def _stem(name: str) -> str:
    return PurePosixPath(name).stem


_SPELLINGS: tuple[Callable[[str], str], ...] = (str, _without_suffix, _stem)
"""The ways in which names are compared, one after the other. The whole name is first: in COCO's JSON, a.jpg and a.png
may be two photographs."""


class NameIndex:
    """Finds the annotation of a photograph by its relative name, or else by this name without suffix, or by its stem.

    Args:
        entries: pairs of the name in the annotations and the number of the annotation.
    """

    def __init__(self, entries: Iterable[tuple[str, int]]) -> None:
        self._levels: tuple[dict[str, list[int]], ...] = tuple({} for _ in _SPELLINGS)
        for name, entry in entries:
            printable = printable_name(name)  # datasets convert the names of photographs in the same way
            for level, spelling in zip(self._levels, _SPELLINGS, strict=True):
                level.setdefault(spelling(printable), []).append(entry)

    def entry_of(self, name: str) -> int | None:
        """Return the number of a photograph's annotation; None if there is none.

        Raises:
            ImageError: several annotations have the photograph's name, in the first of the ways in which any has it.
        """
        for level, spelling in zip(self._levels, _SPELLINGS, strict=True):
            entries = level.get(spelling(name), [])
            if len(entries) > 1:
                raise ImageError(
                    f"{name}: {len(entries)} annotations are called {spelling(name)!r}; name the photographs and the "
                    "annotations alike, with their sub-folders, each once"
                )
            if entries:
                return entries[0]
        return None


class FolderAnnotations(Annotations):
    """Annotations in a folder with a file for each photograph, found by `NameIndex`; files are read when needed.

    Args:
        folder: the folder as the user named it.
        names: the names of the files, relative to the folder.
        read: returns the regions in a file; it must be a function of a module, so that it can be pickled.
    """

    def __init__(self, folder: Path, names: Sequence[str], read: Callable[[Path], list[Region]]) -> None:
        self.origin = str(folder)
        self._folder, self._names, self._read = folder, names, read
        self._index = NameIndex((name, entry) for entry, name in enumerate(names))

    def regions_of(self, name: str) -> list[Region] | None:
        """Return the regions in the photograph's file; None if there is no file."""
        entry = self._index.entry_of(name)
        return None if entry is None else self._read(self._folder / self._names[entry])

    def source_of(self, name: str) -> int | None:
        """Return the number of the photograph's file; None if there is no file."""
        return self._index.entry_of(name)


def list_files(folder: Path, suffix: str) -> tuple[str, ...]:
    """Return the sorted relative names of all files with this suffix in a folder and its sub-folders.

    Raises:
        ImageError: a folder cannot be read.
    """
    names = (path.replace(os.sep, "/") for path, _ in walk_files(folder, lambda name: name.lower().endswith(suffix)))
    return tuple(sorted(names))


def read_content(path: Path, limit: int = FILE_LIMIT) -> bytes:
    """Return the bytes of an annotation file.

    Raises:
        ImageError: the file cannot be read, or is too large.
    """
    name = printable_name(str(path))
    try:
        size = regular_file_status(path).st_size
        if size > limit:
            raise ImageError(f"{name}: {size:,} bytes are too many for an annotation; expected at most {limit:,}")
        with open_regular_file(path) as file:
            return file.read(limit)
    except OSError as error:
        raise ImageError(f"{name}: cannot be read ({error.strerror}); check the path and its permissions") from None


def check_masks(origin: str, count: int, width: int, height: int) -> None:
    """Refuse masks of one photograph that together would not fit into memory.

    Raises:
        ImageError: the masks have too many pixels.
    """
    if count * width * height > _MASK_LIMIT:
        raise ImageError(
            f"{origin}: {counted(count, 'mask')} of {width} x {height} pixels on one photograph; expected at most "
            f"{_MASK_LIMIT:,} pixels together, make them smaller"
        )


def fingerprint_of(annotations: Annotations, names: Sequence[str]) -> str:
    """Return the SHA-256, in hexadecimal, of the objects in these photographs, which shows changed annotations."""
    digest = hashlib.sha256()
    for name in names:
        try:
            regions = annotations.regions_of(name) or []
        except ShapleyCamError as error:  # reported when this image is evaluated
            digest.update(str(error).encode())
            continue
        for region in regions:
            digest.update(repr((name, region.label, region.box, region.size)).encode())
            digest.update(b"" if region.mask is None else region.mask.tobytes())
    return digest.hexdigest()
