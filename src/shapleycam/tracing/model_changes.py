"""Detect changes of the user's model between two passes, after which stored plans and check results no longer hold.

Plans and checks are about operations, so weights and other numbers may change. But a replaced module, a new hook, or a
batch norm that lost its statistics changes the operations, and may mix the images of a batch where the old model did
not.
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

_IGNORED = {"training", FORWARD_HOOKS, PRE_HOOKS}
"""Attributes whose values are not compared: passes run in eval mode, and hooks are compared by their keys."""
_NUMBERS = {int, float}
"""Types of attributes that are not compared: a model that counts its calls would count as changed in every pass."""
_FUNCTIONS = (FunctionType, BuiltinFunctionType)
_DESCRIBED = (tuple, Tensor, *_FUNCTIONS)
"""Types of attributes that are described value by value. For other types, except constants, only the type counts."""
_descriptions: WeakKeyDictionary[nn.Module, object] = WeakKeyDictionary()
"""The description of each of the user's models when it was last run."""


def forget_if_changed(owner: nn.Module) -> None:
    """Delete the plans and check results of the user's model if its modules or their settings changed since.

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
    known: dict[Hashable, _Attributes] = {}
    description = tuple(_describe(module, known) for module in modules_of(owner))
    if _descriptions.get(owner, description) != description:
        forget_plans(owner)
        forget_checks(owner)
    _descriptions[owner] = description


@dataclass(frozen=True)
class _Attributes:
    """How to describe the attributes of modules whose attributes have the same names and types.

    Attributes:
        types: the names, each with the type of its value.
        select_constants: returns the values that describe a setting by themselves.
        others: the names of the attributes that are described value by value.
    """

    types: tuple[object, ...]
    select_constants: Callable[[dict[str, Any]], object]
    others: tuple[str, ...]

    @classmethod
    def of(cls, attributes: dict[str, Any]) -> _Attributes:
        """Return how to describe attributes with these names and types."""
        kinds = {name: type(value) for name, value in attributes.items()}
        settings = {name: kind for name, kind in kinds.items() if name not in _IGNORED and kind not in _NUMBERS}
        constants = [name for name, kind in settings.items() if kind in IMMUTABLE]
        others = tuple(
            name for name, kind in settings.items() if issubclass(kind, _DESCRIBED) and kind not in IMMUTABLE
        )
        return cls(tuple(chain(*settings.items())), itemgetter(*constants) if constants else lambda _: None, others)


def _describe(module: nn.Module, known: dict[Hashable, _Attributes]) -> object:
    """Return a description of the operations that a module runs: its class, settings, hooks, and types of tensors.

    `known` stores what modules with the same attributes have in common, because most modules of a network are alike.
    """
    attributes = vars(module)
    key = (*attributes, *map(type, attributes.values()))
    described = known.get(key)
    if described is None:
        described = known[key] = _Attributes.of(attributes)
    tensors = (*attributes.get("_parameters", {}).items(), *attributes.get("_buffers", {}).items())
    return (
        type(module),
        described.types,
        described.select_constants(attributes),
        [_setting(attributes[name]) for name in described.others],
        [(name, None if tensor is None else _tensor_type(tensor)) for name, tensor in tensors],
        [*attributes.get(FORWARD_HOOKS, ())],  # the keys of the hooks, which PyTorch does not use again
        [*attributes.get(PRE_HOOKS, ())],
    )


def _setting(value: Any) -> Hashable:
    """Return a value to compare a setting by: the setting itself if it is immutable, otherwise a description."""
    if isinstance(value, tuple):
        return value if IMMUTABLE.issuperset(map(type, value)) else tuple(map(_setting, value))
    if isinstance(value, _FUNCTIONS):
        return value.__qualname__, id(value)
    if isinstance(value, Tensor):
        return _tensor_type(value)
    setting: Hashable = value if type(value) in IMMUTABLE else (type(value),)
    return setting


def _tensor_type(tensor: Tensor) -> Hashable:
    """Return the shape and dtype of a tensor; the class if it is not initialised yet."""
    return (type(tensor),) if is_lazy(tensor) else (tensor.shape, tensor.dtype)
