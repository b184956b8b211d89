"""Matching names in any spelling (case, hyphens, underscores, spaces), and suggesting names for one that is unknown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches

_SEPARATORS = re.compile(r"[\s_\-\u2010-\u2015]+")


def normalize_name(name: str) -> str:
    """Return a name in lower case, without hyphens, underscores and spaces.

    Examples:
        >>> normalize_name("Grad-CAM"), normalize_name("grad_cam"), normalize_name("GradCAM")
        ('gradcam', 'gradcam', 'gradcam')
    """
    return _SEPARATORS.sub("", name).casefold()


def canonical_name(name: object, known: Iterable[str], aliases: Mapping[str, str] | None = None) -> str | None:
    """Return the known name that a user's spelling stands for; None if there is none.

    Args:
        name: the name as the user wrote it.
        known: the names as they are stored and shown.
        aliases: a mapping from other names to known names.

    Examples:
        >>> canonical_name("Grad CAM", ["gradcam", "layercam"]), canonical_name("occlusion", ["gradcam"])
        ('gradcam', None)
    """
    if not isinstance(name, str):
        return None
    by_letters = {normalize_name(alias): known_name for alias, known_name in (aliases or {}).items()}
    by_letters |= {normalize_name(known_name): known_name for known_name in known}
    return by_letters.get(normalize_name(name))


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the part of a message that suggests names for an unknown name: similar ones, or all if there are few.

    Examples:
        >>> nearest("gradcan", ["gradcam", "hirescam", "layercam"]), nearest("x", ["gradcam", "layercam"])
        ("did you mean 'gradcam'?", 'known are gradcam, layercam')
    """
    names = list(known)
    if not names:
        return "there are none"
    lower = {known_name.lower(): known_name for known_name in names}
    close = [lower[match] for match in get_close_matches(name.lower(), lower, n=3, cutoff=0.5)]
    if close:
        return "did you mean " + " or ".join(repr(match) for match in close) + "?"
    if len(names) <= 20:
        return "known are " + ", ".join(names)
    return f"none of the {len(names)} known names is near it"
