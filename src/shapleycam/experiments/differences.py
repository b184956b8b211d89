"""Differences between two records, such as protocols or manifests, as sentences."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

_LONGEST = 80
"""Characters of a value in a message."""


def list_differences(before: Mapping[str, Any], after: Mapping[str, Any], ignored: Iterable[str] = ()) -> list[str]:
    """Return what differs between two records of JSON values, in the order of the names.

    Args:
        before: the first record; records inside it are compared value by value.
        after: the second record.
        ignored: names of values that may differ, at any depth.

    Examples:
        >>> from shapleycam.experiments.differences import list_differences
        >>> list_differences({"seed": 0, "options": {"steps": 8}}, {"seed": 1, "options": {"steps": 8}})
        ['seed was 0, is 1']
    """
    differences, skipped = [], set(ignored)
    for name in sorted({*before, *after} - skipped):
        old, new = before.get(name), after.get(name)
        if isinstance(old, dict) and isinstance(new, dict):
            differences += [f"{name}.{text}" for text in list_differences(old, new, skipped)]
        elif name not in before or name not in after:
            differences.append(f"{name} is {'missing' if name in before else 'new'}")
        elif old != new:
            differences.append(f"{name} was {shortened(old)}, is {shortened(new)}")
    return differences


def shortened(value: Any) -> str:
    """Return a value as a message shows it: a thousand labels would be a page."""
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
