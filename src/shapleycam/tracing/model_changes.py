"""Changes of the user's model between two passes, after which what was learned of it no longer holds.

Weights and numbers may change: what is learned is about operations. But a module that was exchanged, a hook, or a batch
norm whose statistics were taken away are other operations, and may mix the images of a batch where the old did not.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from itertools import chain
from operator import itemgetter
from types import BuiltinFunctionType, FunctionType
from typing import Any
from weakref import WeakKeyDictionary

from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from shapleycam.tracing.checks import forget_checks
from shapleycam.tracing.copying.state import IMMUTABLE
from shapleycam.tracing.hooks import FORWARD_HOOKS, PRE_HOOKS
from shapleycam.tracing.modules import modules_of
from shapleycam.tracing.plan_learning import forget_plans

_UNTOLD = {"training", FORWARD_HOOKS, PRE_HOOKS}
"""Attributes whose values say nothing: passes run in eval mode; hooks are told by their numbers."""
_NUMBERS = {int, float}
"""Kinds of attributes that are left out: a model may count its calls, and would be learned anew each time."""
_FUNCTIONS = (FunctionType, BuiltinFunctionType)
_DESCRIBED = (tuple, Tensor, *_FUNCTIONS)
"""Types of attributes that are described value by value; of all others than constants only the type is told."""
_forms: WeakKeyDictionary[nn.Module, object] = WeakKeyDictionary()
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
    kinds: dict[Hashable, _Attributes] = {}
    form = tuple(_describe(module, kinds) for module in modules_of(owner))
    if _forms.get(owner, form) != form:
        forget_plans(owner)
        forget_checks(owner)
    _forms[owner] = form


@dataclass(frozen=True)
class _Attributes:
    """How the attributes of modules that have the same names and types are described.

    `types` are the names with the types of their values, `of_constants` takes the values that tell a setting by
    themselves, `others` are the names of what is described value by value.
    """

    types: tuple[object, ...]
    of_constants: Callable[[dict[str, Any]], object]
    others: tuple[str, ...]

    @classmethod
    def of(cls, attributes: dict[str, Any]) -> _Attributes:
        """Return how attributes of these names and types are described."""
        kinds = {name: type(value) for name, value in attributes.items()}
        settings = {name: kind for name, kind in kinds.items() if name not in _UNTOLD and kind not in _NUMBERS}
        constants = [name for name, kind in settings.items() if kind in IMMUTABLE]
        others = tuple(
            name for name, kind in settings.items() if issubclass(kind, _DESCRIBED) and kind not in IMMUTABLE
        )
        return cls(tuple(chain(*settings.items())), itemgetter(*constants) if constants else lambda _: None, others)


def _describe(module: nn.Module, known: dict[Hashable, _Attributes]) -> object:
    """Return what tells which operations a module runs: its class, its settings, its hooks, the kinds of its tensors.

    `known` keeps what modules with the same attributes share: most of a network's modules are of a few kinds.
    """
    attributes = vars(module)
    key = (*attributes, *map(type, attributes.values()))
    kinds = known.get(key)
    if kinds is None:
        kinds = known[key] = _Attributes.of(attributes)
    tensors = (*attributes.get("_parameters", {}).items(), *attributes.get("_buffers", {}).items())
    return (
        type(module),
        kinds.types,
        kinds.of_constants(attributes),
        [_setting(attributes[name]) for name in kinds.others],
        [(name, None if tensor is None else _form_of_tensor(tensor)) for name, tensor in tensors],
        [*attributes.get(FORWARD_HOOKS, ())],  # their numbers, which no other hook has
        [*attributes.get(PRE_HOOKS, ())],
    )


def _setting(value: Any) -> Hashable:
    """Return a setting itself, or what stands for one that may change without being another object."""
    if isinstance(value, tuple):
        return value if IMMUTABLE.issuperset(map(type, value)) else tuple(map(_setting, value))
    if isinstance(value, _FUNCTIONS):
        return value.__qualname__, id(value)
    if isinstance(value, Tensor):
        return _form_of_tensor(value)
    setting: Hashable = value if type(value) in IMMUTABLE else (type(value),)
    return setting


def _form_of_tensor(tensor: Tensor) -> Hashable:
    return (type(tensor),) if is_lazy(tensor) else (tensor.shape, tensor.dtype)
