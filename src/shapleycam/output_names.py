"""Names of the files that commands and the page write: the photograph's, the class that is explained, the method.

They are names on every system: without characters that Windows refuses, and no longer than the folder's disk allows.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING
from unicodedata import category, normalize

from shapleycam.printable import printable_name

if TYPE_CHECKING:
    from shapleycam.explanations.explanation import Explanation

_NAME_BYTES = 255
"""How long a file name may be on most disks."""
_LABEL_BYTES = 30
_BEHIND_THE_STEM = 150
"""Bytes that may follow the stem: two classes, a method, how it was asked and drawn, a number and a suffix."""
_REFUSED_BY_WINDOWS = re.compile(r'[<>:"/\\|?*]')


def stem_limit(folder: Path) -> int:
    """Return how many bytes the stem of a photograph's files may have in a folder.

    Examples:
        >>> from pathlib import Path
        >>> stem_limit(Path()) <= 105
        True
    """
    try:
        longest = os.pathconf(folder, "PC_NAME_MAX")
    except (AttributeError, OSError, ValueError):  # Windows has no such question, some disks no answer
        longest = _NAME_BYTES
    return max(16, min(longest, _NAME_BYTES) - _BEHIND_THE_STEM)


def output_stem(photo: Path, longest: int = _NAME_BYTES - _BEHIND_THE_STEM) -> str:
    """Return the stem of a photograph's files: its own, as it can be printed and written on every system.

    A stem of more than `longest` bytes is cut, and told apart by a hash of the whole.

    Examples:
        >>> from pathlib import Path
        >>> output_stem(Path("photos/cat.jpg")), output_stem(Path("a:dog.jpg")), len(output_stem(Path("x" * 240)))
        ('cat', 'a-dog', 105)
    """
    stem = _REFUSED_BY_WINDOWS.sub("-", printable_name(photo.stem))
    encoded = stem.encode()
    if len(encoded) <= longest:
        return stem
    return f"{_cut(stem, longest - 9)}-{hashlib.sha256(encoded).hexdigest()[:8]}"


def class_part(number: int, label: str) -> str:
    """Return a class as a part of a file name: its label and its number.

    Examples:
        >>> class_part(400, "academic gown"), class_part(3, "class 3"), class_part(7, "???")
        ('academic-gown-400', 'class-3', 'class-7')
    """
    letters = (c if c.isalnum() or category(c).startswith("M") else " " for c in normalize("NFC", label))
    word = _cut("-".join("".join(letters).split()), _LABEL_BYTES).strip("-")
    return f"class-{number}" if word in {"", f"class-{number}"} else f"{word}-{number}"


def question_part(explanations: Sequence[Explanation], index: int, against: str | None) -> str:
    """Return what is explained of an image as a part of a file name: its class and the other one, or how many classes.

    `explanations` is of one class each; `against` the other class as it was typed.
    """
    if len(explanations) > 1:
        return f"top{len(explanations)}"
    first = explanations[0]
    part = class_part(int(first.target[index]), first.label(index))
    if against is None:
        return part
    from shapleycam.models.labels import class_index, class_name

    other = class_index(against, first.labels, sys.maxsize)  # which the utility has found among the model's classes
    return f"{part}-not-{class_part(other, class_name(other, first.labels))}"


def variant_part(explanation: Explanation, sign: str | None = None) -> str:
    """Return what sets a map apart from the usual one of its method, as a part of a file name; "" for the usual one.

    That is a removal other than zero, smoothing, and the sign that is drawn where another than the usual was asked for.

    Examples:
        >>> from types import SimpleNamespace
        >>> variant_part(SimpleNamespace(removal="zero", smooth=())), variant_part(
        ...     SimpleNamespace(removal="mean of 2 reference photographs (489fd227c967)", smooth=("noise",)), "negative"
        ... )
        ('', '-mean-noise-negative')
    """
    removal = () if explanation.removal == "zero" else (explanation.removal.split()[0],)
    signs = () if sign is None else (sign,)
    return "".join(f"-{part}" for part in (*removal, *explanation.smooth, *signs))


def unique_stems(photos: Iterable[Path], longest: int = _NAME_BYTES - _BEHIND_THE_STEM) -> dict[Path, str]:
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
        stem = output_stem(photo, longest)
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


def _cut(text: str, longest: int) -> str:
    """Return the beginning of a text that has at most so many bytes."""
    return text.encode()[:longest].decode(errors="ignore")
