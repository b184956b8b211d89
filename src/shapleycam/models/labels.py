"""Class names, and the class that a user means by a name or a number."""

from __future__ import annotations

import re
from collections.abc import Sequence

from timm.data import ImageNetInfo

from shapleycam.errors import TargetError, nearest

_NUMBER = re.compile(r"[+-]?[0-9]+")


def imagenet_labels() -> tuple[str, ...]:
    """The 1,000 classes of ImageNet in the order of the networks' outputs, with synonyms after commas."""
    info = ImageNetInfo()
    return tuple(info.index_to_description(index) for index in range(info.num_classes()))


def short_label(label: str) -> str:
    """The first of a label's comma-separated names."""
    return label.split(",", maxsplit=1)[0].strip()


def class_name(index: int, labels: Sequence[str] | None) -> str:
    """What to call a class in print."""
    return short_label(labels[index]) if labels is not None and index < len(labels) else f"class {index}"


def class_index(target: str | int, labels: Sequence[str] | None, classes: int) -> int:
    """The class that `target`, a number or a label, means.

    Raises:
        TargetError: out of range, unknown, or the name of several classes.
    """
    if isinstance(target, str) and not _NUMBER.fullmatch(target.strip()):
        return _named(target.strip(), labels)
    index = int(target)
    if not 0 <= index < classes:
        raise TargetError(f"class {index} is out of range: the model has classes 0 to {classes - 1}")
    return index


def _named(name: str, labels: Sequence[str] | None) -> int:
    if labels is None:
        raise TargetError(f"class {name!r} is a name, and this model has no labels; give a number, or labels=")
    matches = _matching(name, labels)
    if len(matches) == 1:
        return matches[0]
    if matches:
        choices = ", ".join(f"{index} ({labels[index]})" for index in matches)
        raise TargetError(f"class {name!r} is ambiguous: it is the name of {choices}; give the number")
    names = [part.strip() for label in labels for part in label.split(",")]
    raise TargetError(f"class {name!r} is not among the model's {len(labels)} labels; {nearest(name, names)}")


def _matching(name: str, labels: Sequence[str]) -> list[int]:
    def match(wanted: str, fold: bool) -> list[int]:  # noqa: FBT001
        wanted = wanted.casefold() if fold else wanted
        found = []
        for index, label in enumerate(labels):
            text = label.casefold() if fold else label
            if wanted == text or wanted in [part.strip() for part in text.split(",")]:
                found.append(index)
        return found

    return match(name, fold=False) or match(name, fold=True)
