"""Changes of the user's model between two passes, after which what was learned of it no longer holds.

Weights and numbers may change: what is learned is about operations. But a module that was exchanged, a hook, or a batch
norm whose statistics were taken away are other operations, and may mix the images of a batch where the old did not.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from types import BuiltinFunctionType, FunctionType
from typing import Any
from weakref import WeakKeyDictionary

from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from shapleycam.tracing.checks import forget_checks
from shapleycam.tracing.copying.state import IMMUTABLE
from shapleycam.tracing.hooks import FORWARD_HOOKS, PRE_HOOKS
from shapleycam.tracing.plan_learning import forget_plans

_UNTOLD = {"training", FORWARD_HOOKS, PRE_HOOKS}
"""Attributes whose values say nothing: passes run in eval mode; hooks are told by their numbers."""
_NUMBERS = {int, float}
"""Kinds of attributes that are left out: a model may count its calls, and would be learned anew each time."""
_forms: WeakKeyDictionary[nn.Module, Hashable] = WeakKeyDictionary()
"""What the user's models were when they were last run."""


def forget_if_changed(owner: nn.Module) -> None:
    """Forget what was learned of the user's model, if its modules or their settings have changed since.

    Examples:
        >>> from torch import nn
        >>> from shapleycam.tracing.checks import mark_checked, needs_check
        >>> model = nn.Sequential(nn.Dropout(0.5))
        >>> forget_if_changed(model)
        >>> mark_checked(model, "a check")
        >>> forget_if_changed(model)
        >>> needs_check(model, "a check")
        False
        >>> model[0] = nn.Identity()
        >>> forget_if_changed(model)
        >>> needs_check(model, "a check")
        True
    """
    form = tuple(part for module in owner.modules() for part in _describe(module))
    if _forms.get(owner, form) != form:
        forget_plans(owner)
        forget_checks(owner)
    _forms[owner] = form


def _describe(module: nn.Module) -> Iterator[Hashable]:
    """Yield what tells which operations a module runs: its class, its settings, its hooks, the kinds of its tensors."""
    attributes = vars(module)
    yield (type(module),)
    for name in (FORWARD_HOOKS, PRE_HOOKS):
        yield tuple(attributes.get(name, ()))  # their numbers, which no other hook has
    for name in ("_parameters", "_buffers"):
        for key, tensor in attributes.get(name, {}).items():
            yield key, None if tensor is None else _setting(tensor)
    for name, value in attributes.items():
        if name not in _UNTOLD and type(value) not in _NUMBERS:
            yield name, _setting(value)


def _setting(value: Any) -> Hashable:
    """Return a setting itself, or what stands for one that may change without being another object."""
    if isinstance(value, tuple):
        return tuple(map(_setting, value))
    if isinstance(value, FunctionType | BuiltinFunctionType):
        return value.__qualname__, id(value)
    if isinstance(value, Tensor) and not is_lazy(value):
        return value.shape, value.dtype
    setting: Hashable = value if type(value) in IMMUTABLE else (type(value),)
    return setting
