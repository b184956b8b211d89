"""Names of the files that commands write, after the photographs' own."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from itertools import count
from pathlib import Path
from unicodedata import normalize

from shapleycam.printable import printable_name

_STEM_BYTES = 150
"""Longer stems are cut: a file name has at most 255 bytes on most disks, and the method's name follows the stem."""


def output_stem(photo: Path) -> str:
    """Return the stem of a photograph's files: its own, as it can be printed.

    A stem that is very long is cut, and told apart by a hash of the whole.

    Examples:
        >>> from pathlib import Path
        >>> output_stem(Path("photos/cat.jpg")), len(output_stem(Path("x" * 240 + ".jpg")))
        ('cat', 159)
    """
    stem = printable_name(photo.stem)
    encoded = stem.encode()
    if len(encoded) <= _STEM_BYTES:
        return stem
    return f"{encoded[:_STEM_BYTES].decode(errors='ignore')}-{hashlib.sha256(encoded).hexdigest()[:8]}"


def unique_stems(photos: Iterable[Path]) -> dict[Path, str]:
    """Return a stem for each photograph's files: its own, numbered where several share it.

    Stems that differ in upper and lower case alone, or in how an accent is written, count as shared, as some file
    systems have it.

    Examples:
        >>> from pathlib import Path
        >>> list(unique_stems([Path("a/cat.jpg"), Path("b/cat.jpg"), Path("b/Cat.png")]).values())
        ['cat', 'cat-2', 'Cat-3']
    """
    taken: set[str] = set()
    times: Counter[str] = Counter()
    stems: dict[Path, str] = {}
    for photo in photos:
        stem = output_stem(photo)
        for number in count(times[_comparable(stem)] + 1):
            candidate = stem if number == 1 else f"{stem}-{number}"
            times[_comparable(stem)] = number
            if _comparable(candidate) not in taken:
                break
        stems[photo] = candidate
        taken.add(_comparable(candidate))
    return stems


def _comparable(stem: str) -> str:
    """Return a stem so that two are equal if they name one file on some file system."""
    return normalize("NFC", normalize("NFC", stem).casefold())
