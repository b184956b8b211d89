"""Which checks a model has passed, so that each is made once."""

from __future__ import annotations

from collections.abc import Hashable
from weakref import WeakKeyDictionary

from torch import nn

_passed: WeakKeyDictionary[nn.Module, set[Hashable]] = WeakKeyDictionary()
"""The keys of all checks that the user's model has passed; models of the same architecture may share one set."""


def needs_check(owner: nn.Module, key: Hashable) -> bool:
    """Return whether the user's model has yet to pass the check of this key; `mark_checked` records that it has."""
    return key not in _passed.setdefault(owner, set())


def mark_checked(owner: nn.Module, key: Hashable) -> None:
    """Record that the user's model has passed the check of this key."""
    _passed.setdefault(owner, set()).add(key)


def share_checks(model: nn.Module, like: nn.Module) -> None:
    """Let a model of the same architecture, with other weights, share the passed checks of another.

    The checks are about operations and kernels, which do not depend on the weights.
    """
    _passed[model] = _passed.setdefault(like, set())
