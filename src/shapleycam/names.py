"""Names as people write them: in any case, with hyphens, underscores or spaces, or without."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

_BETWEEN = re.compile(r"[\s_\-\u2010-\u2015]+")


def normalize_name(name: str) -> str:
    """Return a name without what people write differently: "Grad-CAM", "grad_cam" and "GradCAM" are "gradcam"."""
    return _BETWEEN.sub("", name).casefold()


def canonical_name(name: object, known: Iterable[str], aliases: Mapping[str, str] | None = None) -> str | None:
    """Return the one of the `known` names that is meant, or None.

    Args:
        name: as the user wrote it.
        known: the names as they are stored and shown.
        aliases: other names, and the known names that they stand for.
    """
    if not isinstance(name, str):
        return None
    names = {normalize_name(alias): meant for alias, meant in (aliases or {}).items()} | {
        normalize_name(each): each for each in known
    }
    return names.get(normalize_name(name))
