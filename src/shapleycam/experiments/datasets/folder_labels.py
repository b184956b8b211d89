"""`label_by_folder`: labels of photographs from the folders in which they lie."""

from __future__ import annotations

from collections.abc import Sequence

from shapleycam.errors import DatasetWarning, warn

_SPLITS = frozenset({"train", "training", "val", "valid", "validation", "dev", "test", "testing"})
"""Names of folders, in lower case, that hold a part of a dataset."""


def label_by_folder(names: Sequence[str]) -> tuple[tuple[str | None, ...], tuple[str, ...] | None]:
    """Return the label of each photograph, and the classes.

    A label is the first folder in the photograph's name, or None if there is no folder. If every photograph lies in a
    folder, the classes are the folders in sorted order, as torchvision's ImageFolder numbers them; otherwise None.

    If all folders are called as splits (train, val), they are no classes, and there are no labels: a network of two
    classes would take their order for its own. Several of them are said in a `DatasetWarning`.

    Examples:
        >>> label_by_folder(["cat/1.jpg", "dog/in/2.jpg"]), label_by_folder(["1.jpg"])
        ((('cat', 'dog'), ('cat', 'dog')), ((None,), None))
    """
    known: dict[str, str] = {}  # saves memory: all photographs of a class share one text
    labels: list[str | None] = []
    for name in names:
        folder, separator, _ = name.partition("/")
        labels.append(known.setdefault(folder, folder) if separator else None)
    if known and all(folder.casefold() in _SPLITS for folder in known):
        if len(known) > 1:
            warn(
                DatasetWarning,
                f"the folders {', '.join(sorted(known))} are splits of a dataset by their names, so that they are no "
                "classes, and no labels are read; name the folder of one split, if labels are wanted",
            )
        return (None,) * len(names), None
    return tuple(labels), None if None in labels else tuple(sorted(known))
