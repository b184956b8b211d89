"""Labels that photographs have by the folders in which they lie."""

from __future__ import annotations

from collections.abc import Sequence


def label_by_folder(names: Sequence[str]) -> tuple[tuple[str | None, ...], tuple[str, ...] | None]:
    """Return the label of each photograph, its first folder or None, and the classes.

    Classes are the folders in sorted order, as torchvision's ImageFolder numbers them, where every photograph lies in
    one; otherwise None.

    Examples:
        >>> label_by_folder(["cat/1.jpg", "dog/in/2.jpg"]), label_by_folder(["1.jpg"])
        ((('cat', 'dog'), ('cat', 'dog')), ((None,), None))
    """
    known: dict[str, str] = {}  # one text for each class, however many photographs it has
    labels: list[str | None] = []
    for name in names:
        folder, separator, _ = name.partition("/")
        labels.append(known.setdefault(folder, folder) if separator else None)
    return tuple(labels), None if None in labels else tuple(sorted(known))
