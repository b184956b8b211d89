"""Names of the files that commands and the page write, from the photograph, the explained class and the method.

They are valid on every system: without characters that Windows refuses, and not longer than the file system allows.
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
"""The largest length of a file name on most file systems, in bytes."""
_LABEL_BYTES = 30
_AFTER_STEM = 150
"""Bytes that may follow the stem: two classes, a method, its options, a number and a suffix."""
_REFUSED_BY_WINDOWS = re.compile(r'[<>:"/\\|?*]')


def stem_limit(folder: Path) -> int:
    """Return the largest length, in bytes, of the stem of a photograph's files in a folder.

    Examples:
        >>> from pathlib import Path
        >>> stem_limit(Path()) <= 105
        True
    """
    try:
        longest = os.pathconf(folder, "PC_NAME_MAX")
    except (AttributeError, OSError, ValueError):  # Windows has no pathconf, and some file systems no answer
        longest = _NAME_BYTES
    return max(16, min(longest, _NAME_BYTES) - _AFTER_STEM)


def output_stem(photo: Path, longest: int = _NAME_BYTES - _AFTER_STEM) -> str:
    """Return the stem of a photograph's files: the photograph's own stem, without characters that some systems refuse.

    A stem of more than `longest` bytes is cut, and a hash of the whole stem is appended to keep it unique.

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
    """Return the part of a file name for a class: its label and its number.

    Examples:
        >>> class_part(400, "academic gown"), class_part(3, "class 3"), class_part(7, "???")
        ('academic-gown-400', 'class-3', 'class-7')
    """
    letters = (c if c.isalnum() or category(c).startswith("M") else " " for c in normalize("NFC", label))
    word = _cut("-".join("".join(letters).split()), _LABEL_BYTES).strip("-")
    return f"class-{number}" if word in {"", f"class-{number}"} else f"{word}-{number}"


def question_part(explanations: Sequence[Explanation], index: int, against: str | None) -> str:
    """Return the part of a file name for the question: the class and the class it is compared with, or "top3".

    Args:
        explanations: one explanation for each explained class.
        index: the image's index in the batch.
        against: the class that the explained one is compared with, as the user typed it.
    """
    if len(explanations) > 1:
        return f"top{len(explanations)}"
    first = explanations[0]
    part = class_part(int(first.target[index]), first.label(index))
    if against is None:
        return part
    from shapleycam.models.labels import class_index, class_name

    other = class_index(against, first.labels, sys.maxsize)  # no range check, because the utility made it already
    return f"{part}-not-{class_part(other, class_name(other, first.labels))}"


def variant_part(explanation: Explanation, sign: str | None = None) -> str:
    """Return the part of a file name for options that differ from the defaults; "" if none does.

    These options are a removal other than zero, smoothing, and a sign other than the default (`DrawnMap.chosen_sign`).

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


def unique_stems(photos: Iterable[Path], longest: int = _NAME_BYTES - _AFTER_STEM) -> dict[Path, str]:
    """Return a different stem for each photograph's files: its own, with a number if another photograph has the same.

    Stems that differ only in case, or in the Unicode form of an accent, count as the same, as on some file systems.

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
    """Return a normalised stem; two are equal if some file system treats them as the same name."""
    return normalize("NFC", normalize("NFC", stem).casefold())


def _cut(text: str, longest: int) -> str:
    """Return the longest beginning of a text that has at most `longest` bytes."""
    return text.encode()[:longest].decode(errors="ignore")
