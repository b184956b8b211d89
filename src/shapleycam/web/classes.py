"""The classes of a model: their names in addresses, and in the page's boxes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from shapleycam.models.labels import class_name, short_label

_NUMBER = re.compile(r"[+-]?[0-9]+")


def class_choices(labels: Sequence[str] | None) -> list[str]:
    """Return the text for each class in addresses: its first name, or its number if this name is ambiguous.

    The number has a sign if it is also the label of another class.

    Examples:
        >>> from shapleycam.web.classes import class_choices
        >>> class_choices(["tabby, tabby cat", "crane", "crane", "7"])
        ['tabby', '1', '2', '3']
    """
    names = [{part.strip().casefold() for part in label.split(",")} for label in labels or ()]
    counts = Counter(name for each in names for name in each)

    def is_clear(name: str) -> bool:
        return bool(name) and counts[name.casefold()] == 1 and not _NUMBER.fullmatch(name)

    def by_number(number: int) -> str:
        is_label_of_another = counts[str(number)] > (str(number) in names[number])
        return f"+{number}" if is_label_of_another else str(number)

    shorts = [short_label(label) for label in labels or ()]
    return [short if is_clear(short) else by_number(number) for number, short in enumerate(shorts)]


def class_choice(number: int, labels: Sequence[str] | None) -> str:
    """Return the text for one class in addresses."""
    choices = class_choices(labels)
    return choices[number] if number < len(choices) else str(number)


def class_title(number: int, labels: Sequence[str] | None) -> str:
    """Return the name of a class, with its number if the name is ambiguous.

    Examples:
        >>> from shapleycam.web.classes import class_title
        >>> labels = ["tabby, tabby cat", "crane", "crane"]
        >>> class_title(0, labels), class_title(2, labels)
        ('tabby', 'crane (class 2)')
    """
    name = class_name(number, labels)
    return name if labels is None or class_choice(number, labels) == name else f"{name} (class {number})"


def class_options(labels: Sequence[str] | None) -> list[tuple[str, str]]:
    """Return the options of a box of classes: for each class its text in addresses, and its label."""
    return list(zip(class_choices(labels), labels or (), strict=True))
