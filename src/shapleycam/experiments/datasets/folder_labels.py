"""`label_by_folder`: labels of photographs from the folders in which they lie."""

from __future__ import annotations

from collections.abc import Sequence


def label_by_folder(names: Sequence[str]) -> tuple[tuple[str | None, ...], tuple[str, ...] | None]:
    """Return the label of each photograph, and the classes.

    A label is the first folder in the photograph's name, or None if there is no folder. If every photograph lies in a
    folder, the classes are the folders in sorted order, as torchvision's ImageFolder numbers them; otherwise None.

    Examples:
        >>> label_by_folder(["cat/1.jpg", "dog/in/2.jpg"]), label_by_folder(["1.jpg"])
        ((('cat', 'dog'), ('cat', 'dog')), ((None,), None))
    """
    known: dict[str, str] = {}  # saves memory: all photographs of a class share one text
    labels: list[str | None] = []
    for name in names:
        folder, separator, _ = name.partition("/")
        labels.append(known.setdefault(folder, folder) if separator else None)
    return tuple(labels), None if None in labels else tuple(sorted(known))
