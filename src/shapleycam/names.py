"""Matching names in any spelling: any case, with or without hyphens, underscores or spaces."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

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
