"""What was checked of a model already, so that it is checked once."""

from __future__ import annotations

from collections.abc import Hashable
from weakref import WeakKeyDictionary

from torch import nn

_checked: WeakKeyDictionary[nn.Module, set[Hashable]] = WeakKeyDictionary()


def needs_check(owner: nn.Module, key: Hashable) -> bool:
    """Return whether a check of this key is still to be made for the user's model; call `mark_checked` when it was."""
    return key not in _checked.setdefault(owner, set())


def mark_checked(owner: nn.Module, key: Hashable) -> None:
    """Remember that the check of this key was passed."""
    _checked.setdefault(owner, set()).add(key)


def share_checks(model: nn.Module, like: nn.Module) -> None:
    """Let a model of the same make, with other weights, share what was checked of another.

    What is checked are operations and kernels, which do not depend on the weights.
    """
    _checked[model] = _checked.setdefault(like, set())
