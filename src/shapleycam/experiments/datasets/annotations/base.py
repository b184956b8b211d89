"""Where the objects are on the photographs of a dataset, from the usual kinds of annotation."""

from __future__ import annotations

import hashlib
import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from shapleycam.errors import ImageError, ShapleyCamError
from shapleycam.experiments.datasets.regions import Region

FILE_LIMIT = 1 << 30
"""An annotation file of more bytes than this is not read."""


class Annotations(ABC):
    """Regions of photographs, found by a photograph's name in its dataset; it can be pickled."""

    origin: str

    @abstractmethod
    def of(self, name: str) -> list[Region] | None:
        """The objects on a photograph: an empty list where there are none, None where it is not annotated.

        Raises:
            ImageError: its annotation is damaged, or several may be meant.
        """


class Index:
    """Annotations by the names of their photographs: the whole relative name without its suffix, else the stem."""

    def __init__(self, entries: Iterable[tuple[str, int]]) -> None:
        self._whole: dict[str, int] = {}
        self._stems: dict[str, list[int]] = {}
        for name, entry in entries:
            self._whole.setdefault(_bare(name), entry)
            self._stems.setdefault(PurePosixPath(name).stem, []).append(entry)

    def entry_of(self, name: str) -> int | None:
        """The entry of a photograph, None where there is none.

        Raises:
            ImageError: none has its whole name, and several have its stem.
        """
        if _bare(name) in self._whole:
            return self._whole[_bare(name)]
        found = self._stems.get(PurePosixPath(name).stem, [])
        if len(found) > 1:
            raise ImageError(
                f"{name}: {len(found)} annotations are called {PurePosixPath(name).stem!r}; name the photographs and "
                "the annotations alike, with their sub-folders"
            )
        return found[0] if found else None


def files(folder: Path, suffix: str) -> tuple[str, ...]:
    """The relative names of the files below a folder with this suffix, in sorted order.

    Raises:
        ImageError: a folder cannot be read.
    """

    def refuse(error: OSError) -> None:
        raise ImageError(
            f"{error.filename}: the folder cannot be read ({error.strerror}); check its permissions"
        ) from None

    found = [
        (Path(where) / name).relative_to(folder).as_posix()
        for where, _, names in os.walk(folder, onerror=refuse, followlinks=True)
        for name in names
        if name.lower().endswith(suffix) and not name.startswith("._")
    ]
    return tuple(sorted(found))


def content(path: Path, limit: int = FILE_LIMIT) -> bytes:
    """The bytes of an annotation.

    Raises:
        ImageError: it cannot be read, or is far too large.
    """
    try:
        size = path.stat().st_size
        if size > limit:
            raise ImageError(f"{path}: {size:,} bytes are too many for an annotation; expected at most {limit:,}")
        return path.read_bytes()
    except OSError as error:
        raise ImageError(f"{path}: cannot be read ({error.strerror}); check the path and its permissions") from None


def fingerprint_of(annotations: Annotations, names: Sequence[str]) -> str:
    """The sha256 of the objects of these photographs, by which changed annotations are noticed."""
    digest = hashlib.sha256()
    for name in names:
        try:
            regions = annotations.of(name) or []
        except ShapleyCamError as error:  # which is that image's, when it is measured
            digest.update(str(error).encode())
            continue
        for region in regions:
            digest.update(repr((name, region.label, region.box, region.size)).encode())
            digest.update(b"" if region.mask is None else region.mask.tobytes())
    return digest.hexdigest()


def _bare(name: str) -> str:
    return PurePosixPath(name).with_suffix("").as_posix() if PurePosixPath(name).name else name
