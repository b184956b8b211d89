"""Copy containers, arrays and objects of the user's classes."""

from __future__ import annotations

import types
import weakref
from collections import defaultdict, deque
from copy import deepcopy
from enum import Enum
from typing import Any

import numpy as np
from torch import nn

from shapleycam.tracing.copying.packages import is_user_class
from shapleycam.tracing.copying.state import IMMUTABLE, CopyState


def copy_list(state: CopyState, values: list[Any]) -> list[Any]:
    """Return a list of copies."""
    copied: list[Any] = state.remember(values, [])
    copied.extend(values if IMMUTABLE.issuperset(map(type, values)) else map(state.copy, values))
    return copied


def copy_tuple(state: CopyState, values: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return a tuple of copies; the tuple itself if none of its values had to be copied."""
    if IMMUTABLE.issuperset(map(type, values)):
        return values
    copied = tuple(map(state.copy, values))
    return values if all(map(_is, copied, values)) else copied


def copy_tuple_subclass(state: CopyState, values: Any) -> Any:
    """Return a named tuple of copies; any other subclass of tuple itself."""
    copied = [state.copy(value) for value in tuple.__iter__(values)]
    if all(map(_is, copied, tuple.__iter__(values))) or vars(type(values)).get("_fields") is None:
        return values
    return tuple.__new__(type(values), copied)


def copy_set(state: CopyState, values: set[Any]) -> set[Any]:
    """Return a set of copies."""
    return state.remember(values, type(values)(map(state.copy, values)))  # type: ignore[no-any-return]


def copy_deque(state: CopyState, values: deque[Any]) -> deque[Any]:
    """Return a deque of copies with the same maximum length."""
    return state.remember(values, deque(map(state.copy, values), values.maxlen))  # type: ignore[no-any-return]


def copy_dict(state: CopyState, values: dict[Any, Any]) -> dict[Any, Any]:
    """Return a dict of copied keys and values, of the same class of the standard library."""
    copied = defaultdict(values.default_factory) if isinstance(values, defaultdict) else type(values)()
    state.remember(values, copied)
    dict.update(copied, {state.copy(key): state.copy(value) for key, value in values.items()})
    return copied


def copy_namespace(state: CopyState, values: types.SimpleNamespace) -> types.SimpleNamespace:
    """Return a namespace of copies."""
    copied = state.remember(values, types.SimpleNamespace())
    vars(copied).update({name: state.copy(value) for name, value in vars(values).items()})
    return copied  # type: ignore[no-any-return]


def copy_array(state: CopyState, array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return a copy of a numpy array."""
    return state.remember(array, array.copy())  # type: ignore[no-any-return]


def copy_deeply(state: CopyState, value: Any) -> Any:
    """Return a deep copy; used for random generators of Python and numpy."""
    return state.remember(value, deepcopy(value))


def copy_weak_reference(state: CopyState, reference: weakref.ref[Any]) -> weakref.ref[Any]:
    """Return a weak reference to the copy of a module; references to anything else are shared."""
    target = reference()
    return weakref.ref(state.copy(target)) if isinstance(target, nn.Module) else reference


def copy_weak_proxy(state: CopyState, proxy: Any) -> Any:
    """Return a weak proxy of the copy of a module; proxies of anything else are shared."""
    try:
        target = proxy.__reduce_ex__.__self__  # a bound method of the object behind the proxy
    except ReferenceError:  # the object does not exist any more
        return proxy
    return weakref.proxy(state.copy(target)) if isinstance(target, nn.Module) else proxy


def copy_user_object(state: CopyState, value: Any) -> Any:
    """Return a new object of a user's class with copies of the attributes, without calling the class.

    Objects of PyTorch, numpy and the standard library, and of subclasses of classes that are written in C, are shared.
    """
    kind = type(value)
    if isinstance(value, (type, Enum, BaseException)) or not is_user_class(kind):
        return value
    copied: Any
    if isinstance(value, dict):
        copied = state.remember(value, dict.__new__(kind))
        dict.update(copied, {state.copy(key): state.copy(item) for key, item in dict.items(value)})
    elif isinstance(value, list):
        copied = state.remember(value, list.__new__(kind))
        list.extend(copied, map(state.copy, list.__iter__(value)))
    else:
        try:
            copied = state.remember(value, object.__new__(kind))
        except TypeError:  # a subclass of a class that is written in C
            return value
    if hasattr(value, "__dict__"):
        vars(copied).update({name: state.copy(item) for name, item in vars(value).items()})
    for name in _slots(kind):
        try:
            object.__setattr__(copied, name, state.copy(object.__getattribute__(value, name)))
        except AttributeError:  # an empty slot
            continue
    return copied


def _slots(kind: type) -> list[str]:
    """Return the names of all slots of a class and its bases."""
    declared = (vars(base).get("__slots__", ()) for base in kind.__mro__)
    flat = (name for names in declared for name in ((names,) if isinstance(names, str) else names))
    return [name for name in flat if name not in {"__dict__", "__weakref__"}]


def _is(first: Any, second: Any) -> bool:
    return first is second
