"""Class names, and finding a class by its name or number."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from operator import index as as_integer
from typing import Any, SupportsIndex

from shapleycam.errors import OptionError, TargetError, UnnamedClassesWarning, warn
from shapleycam.names import nearest

_NUMBERED_LABEL = re.compile(r"LABEL_\d+")
"""The name that transformers gives a class without a name of its own."""
_NUMBER = re.compile(r"[+-]?[0-9]+")


def imagenet_labels() -> tuple[str, ...]:
    """Return the names of ImageNet's 1,000 classes in the order of the outputs; commas separate synonyms."""
    from timm.data import ImageNetInfo

    info = ImageNetInfo()
    return tuple(info.index_to_description(index) for index in range(info.num_classes()))


def labels_from_config(model: object) -> tuple[str, ...] | None:
    """Return the class names in a transformers model's config; None if there are none, or only "LABEL_0", "LABEL_1"."""
    names = getattr(getattr(model, "config", None), "id2label", None)
    if not isinstance(names, dict) or sorted(names) != list(range(len(names))):
        return None
    ordered = tuple(str(names[index]) for index in range(len(names)))
    return None if all(map(_NUMBERED_LABEL.fullmatch, ordered)) else ordered


def check_labels(labels: Any) -> tuple[str, ...]:
    """Return the class names that a user gave, as a tuple.

    Raises:
        OptionError: they are not a list of texts: a single text (its letters would become the names), a mapping, a
            set, or entries that are not texts.

    Examples:
        >>> check_labels(["cat", "dog"])
        ('cat', 'dog')
    """
    if isinstance(labels, Mapping):
        raise OptionError(
            f"labels= is a {type(labels).__name__}; expected a list of class names in the order of the scores, such as "
            "[names[number] for number in sorted(names)] of a dictionary of numbers and names"
        )
    if isinstance(labels, (str, bytes, AbstractSet)) or not isinstance(labels, Iterable):
        raise OptionError(
            f"labels={labels!r} is a {type(labels).__name__}; expected a list of class names in the order of the scores"
        )
    names = tuple(labels)
    for number, name in enumerate(names):
        if not isinstance(name, str):
            raise OptionError(
                f"the label of class {number} is {name!r}, a {type(name).__name__}; expected texts: labels= is a list "
                "of class names in the order of the scores"
            )
    return names


def check_label_count(labels: Sequence[str] | None, classes: int) -> None:
    """Refuse more labels than classes, and warn if there are fewer, because names may then belong to other classes.

    Fewer labels are right if the last classes have no names, such as the tokens that pad a vocabulary. They are wrong
    if the first class is a background class without a label. The two cases cannot be distinguished here.

    Raises:
        OptionError: there are more labels than classes.

    Examples:
        >>> from shapleycam.errors import OptionError
        >>> from shapleycam.models.labels import check_label_count
        >>> try:
        ...     check_label_count(("cat", "dog", "eel"), 2)
        ... except OptionError as error:
        ...     print(str(error)[:54])
        labels given: 3, classes that the model scores: 2; exp
    """
    if labels is None or len(labels) == classes:
        return
    counts = f"labels given: {len(labels):,}, classes that the model scores: {classes:,}"
    if len(labels) > classes:
        raise OptionError(f"{counts}; expected one for each, or numbers as targets and no labels")
    warn(
        UnnamedClassesWarning,
        f"{counts}: names are right if only the last classes have no label, and wrong if the first class has none "
        "(a background class); give labels= with one for each",
    )


def short_label(label: str) -> str:
    """Return the first of a label's comma-separated names."""
    return label.split(",", maxsplit=1)[0].strip() or label


def class_name(index: int, labels: Sequence[str] | None) -> str:
    """Return the name of a class for messages and figures: its short label, or its number if it has no label.

    If another class has the same short label, the whole label is returned: texts and tokens may contain commas.

    Examples:
        >>> class_name(0, ["tabby, tabby cat"]), class_name(3, None), class_name(0, ["a cat, asleep", "a cat, awake"])
        ('tabby', 'class 3', 'a cat, asleep')
    """
    if labels is None or index >= len(labels):
        return f"class {index}"
    label = labels[index]
    short = short_label(label)
    if short == label:
        return label
    beginning = f"{short},"
    is_shared = any(
        number != index and (other == short or other.startswith(beginning)) for number, other in enumerate(labels)
    )
    return label if is_shared else short


def class_index(target: Any, labels: Sequence[str] | None, classes: int) -> int:
    """Return the index of the class that `target`, a number or a label, names.

    A label is compared exactly first, then ignoring case. A text of digits is a number; a sign is allowed ("+7").

    Raises:
        TargetError: the target is out of range, unknown, neither a number nor a text, the name of several classes, or
            digits that are both the number of one class and the label of another.

    Examples:
        >>> class_index("Tabby cat", ["tug, tugboat", "tabby, tabby cat"], 2), class_index("1", None, 2)
        (1, 1)
    """
    is_name = isinstance(target, str) and not _NUMBER.fullmatch(target.strip())
    index = _index_of_name(str(target).strip(), labels) if is_name else _number(target)
    if isinstance(target, str) and not is_name and labels is not None:
        _check_digits(target.strip(), index, labels)
    if not 0 <= index < classes:
        raise TargetError(f"class {index} is out of range: the model has classes 0 to {classes - 1}")
    return index


def _number(target: Any) -> int:
    """Return a class number as int, from digits or from any integer type (numpy's too)."""
    if isinstance(target, str):
        return int(target)
    if isinstance(target, SupportsIndex) and not isinstance(target, bool):  # True would be class 1
        with suppress(TypeError):  # numpy's arrays and booleans are no integers, and the error below says so
            return as_integer(target)
    raise TargetError(f"target {target!r} is a {type(target).__name__}; expected a class number or label")


def _check_digits(digits: str, index: int, labels: Sequence[str]) -> None:
    """Refuse digits that are both the number of one class and the label of another."""
    others = [other for other in _matching(digits, labels) if other != index]
    if others:
        number = f"class {index}" + (f" ({labels[index]!r})" if 0 <= index < len(labels) else "")
        raise TargetError(
            f"class {digits!r} is the number of {number} and the label of class {others[0]}; give '+{index}' for the "
            f"number, or '+{others[0]}' for the label"
        )


def _index_of_name(name: str, labels: Sequence[str] | None) -> int:
    if labels is None:
        raise TargetError(f"class {name!r} is a name, and this model has no labels; give a number, or labels=")
    matches = _matching(name, labels) or _matching(name.casefold(), [label.casefold() for label in labels])
    if len(matches) == 1:
        return matches[0]
    if matches:
        choices = ", ".join(f"{index} ({labels[index]})" for index in matches)
        raise TargetError(f"class {name!r} is ambiguous: it is the name of {choices}; give the number")
    names = [part.strip() for label in labels for part in label.split(",") if part.strip()]
    raise TargetError(f"class {name!r} is not among the model's {len(labels)} labels; {nearest(name, names)}")


def _matching(name: str, labels: Sequence[str]) -> list[int]:
    """Return the classes whose label, or one of its comma-separated names, is `name`."""
    return [
        index
        for index, label in enumerate(labels)
        if name and (name == label or name in [part.strip() for part in label.split(",")])
    ]
