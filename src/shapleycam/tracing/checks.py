"""Which checks a model has passed, so that each is made once."""

from __future__ import annotations

from collections.abc import Hashable
from weakref import WeakKeyDictionary

from torch import nn

from shapleycam.lru_cache import LRUCache

_MOST = 4096
"""Of how many checks a model it is remembered that they were passed; each form of a batch has its own."""
_passed: WeakKeyDictionary[nn.Module, LRUCache[Hashable, bool]] = WeakKeyDictionary()
"""The keys of all checks that the user's model has passed; models of the same architecture may share them."""


def needs_check(owner: nn.Module, key: Hashable) -> bool:
    """Return whether the user's model has yet to pass the check of this key; `mark_checked` records that it has."""
    return not _passed_of(owner).get(key)


def mark_checked(owner: nn.Module, key: Hashable) -> None:
    """Record that the user's model has passed the check of this key."""
    _passed_of(owner).put(key, True)


def share_checks(model: nn.Module, like: nn.Module) -> None:
    """Let a model of the same architecture, with other weights, share the passed checks of another.

    The checks are about operations and kernels, which do not depend on the weights.
    """
    _passed[model] = _passed_of(like)


def _passed_of(owner: nn.Module) -> LRUCache[Hashable, bool]:
    return _passed.setdefault(owner, LRUCache(_MOST))
