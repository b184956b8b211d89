"""A cache of the results of checks of a model, so that each check is made once."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any
from weakref import WeakKeyDictionary

from torch import nn

from shapleycam.lru_cache import LRUCache

_MOST = 4096
"""Maximum number of cached results for each model; each form of a batch has results of its own."""
_results: WeakKeyDictionary[nn.Module, LRUCache[Hashable, Any]] = WeakKeyDictionary()
"""The results of checks by the user's model and key; models of the same architecture may share them."""


def needs_check(owner: nn.Module, key: Hashable) -> bool:
    """Return whether the check with this key was not made yet for the user's model."""
    return check_result(owner, key) is None


def check_result(owner: nn.Module, key: Hashable) -> Any:
    """Return the result of the check with this key; None if it was not made yet."""
    return _results_of(owner).get(key)


def mark_checked(owner: nn.Module, key: Hashable, result: object = True) -> None:  # noqa: FBT002  # any value
    """Store the result of the check with this key for the user's model; by default that it has passed."""
    _results_of(owner).put(key, result)


def share_checks(model: nn.Module, like: nn.Module) -> None:
    """Let a model share the results of another model's checks.

    The models must have the same architecture. The checks test operations and kernels, which do not depend on weights.
    """
    _results[model] = _results_of(like)


def forget_checks(owner: nn.Module) -> None:
    """Remove all results of the user's model, so that each check is made again."""
    _results.pop(owner, None)


def _results_of(owner: nn.Module) -> LRUCache[Hashable, Any]:
    return _results.setdefault(owner, LRUCache(_MOST))
