"""`warn_of_other_versions`: a run that is continued with other versions of packages than it was begun with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from shapleycam.errors import MixedVersionsWarning, warn

_PACKAGES = ("shapleycam", "torch", "torchvision", "timm", "numpy", "pillow")
"""Packages that compute figures, or decode photographs. Those that only store rows are left out."""


def warn_of_other_versions(location: object, sessions: Sequence[dict[str, Any]]) -> None:
    """Issue a `MixedVersionsWarning` if the last session of a run has other versions than one before it.

    Args:
        location: the place of the results, for the message.
        sessions: the sessions of a manifest, in order; the last one is about to measure images.

    Examples:
        >>> import warnings
        >>> from shapleycam.experiments.session_versions import warn_of_other_versions
        >>> sessions = [{"versions": {"torch": version}} for version in ("2.5.0", "2.6.0")]
        >>> with warnings.catch_warnings(record=True) as caught:
        ...     warnings.simplefilter("always")
        ...     warn_of_other_versions("run", sessions)
        >>> str(caught[0].message)[:52]
        'run: begun with torch 2.5.0, continued with 2.6.0; t'
    """
    *earlier, now = (session.get("versions", {}) for session in sessions)
    changed = []
    for name in _PACKAGES:
        others = [str(versions[name]) for versions in earlier if name in versions and versions[name] != now.get(name)]
        if others:
            changed.append(f"{name} {', '.join(dict.fromkeys(others))}, continued with {now.get(name)}")
    if changed:
        warn(
            MixedVersionsWarning,
            f"{location}: begun with {'; '.join(changed)}; the tables will mix figures of both, which may differ: "
            "evaluate into another folder for figures of one version",
        )
