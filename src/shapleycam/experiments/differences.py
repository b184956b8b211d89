"""Differences between two records, such as protocols or manifests, as sentences."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

_LONGEST = 80
"""Maximum length of a value in a message."""


def list_differences(before: Mapping[str, Any], after: Mapping[str, Any], ignored: Iterable[str] = ()) -> list[str]:
    """Return a sentence for each difference between two records of JSON values, sorted by name.

    Args:
        before: the first record; nested records are compared value by value.
        after: the second record.
        ignored: names of values that may differ, at any depth.

    Examples:
        >>> from shapleycam.experiments.differences import list_differences
        >>> list_differences({"seed": 0, "options": {"steps": 8}}, {"seed": 1, "options": {"steps": 9}})
        ['options.steps was 8, is 9', 'seed was 0, is 1']
        >>> list_differences({"models": {"vgg16": {"weights": "5f"}}}, {"models": {"vgg16": {"weights": "a0"}}})
        ['models.vgg16 has other weights']
    """
    return list(_sentences((), before, after, set(ignored)))


def _sentences(
    path: tuple[str, ...], before: Mapping[str, Any], after: Mapping[str, Any], ignored: set[str]
) -> Iterator[str]:
    """Yield a sentence for each difference between the records at a path."""
    for name in sorted({*before, *after} - ignored):
        old, new, place = before.get(name), after.get(name), (*path, name)
        if isinstance(old, dict) and isinstance(new, dict):
            yield from _sentences(place, old, new, ignored)
        elif name not in before or name not in after:
            yield f"{'.'.join(place)} is {'missing' if name in before else 'new'}"
        elif old != new:
            yield _sentence(place, old, new)


def _sentence(place: tuple[str, ...], old: Any, new: Any) -> str:
    """Return a difference in words; hashes are not shown, because they tell a reader only that they differ."""
    match place:
        case ("dataset", "fingerprint"):
            return "the photographs differ: some were changed, exchanged, renamed, removed, added or labelled anew"
        case ("dataset", "images"):
            return f"the dataset had {old} images, has {new}"
        case ("dataset", "objects"):
            return "the annotations of objects differ"
        case (*owner, "weights" | "code" as part):
            what = "weights" if part == "weights" else "code (its modules, or the file that makes it)"
            return f"{'.'.join(owner) or 'it'} has other {what}"
    return f"{'.'.join(place)} was {shortened(old)}, is {shortened(new)}"


def shortened(value: Any) -> str:
    """Return a value as text for a message, truncated because a value may be a list of a thousand labels."""
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
