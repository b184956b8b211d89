"""Copy functions and methods, with their closures, defaults, and those global variables that contain state."""

from __future__ import annotations

import functools
import types
from collections import Counter, OrderedDict, defaultdict, deque
from enum import Enum
from typing import Any

import numpy as np
from torch import Tensor, nn

from shapleycam.tracing.copying.packages import STATELESS_PACKAGES, is_user_class, package_of
from shapleycam.tracing.copying.state import CopyState

_CONTAINERS = {list, dict, set, deque, defaultdict, Counter, OrderedDict, np.ndarray, types.SimpleNamespace}


def copy_function(state: CopyState, function: types.FunctionType) -> Any:
    """Return the original function with copies of its closure, defaults and global variables that contain state.

    A function without any of these is shared. A compiled function is replaced by the function that the user wrote,
    because it would be compiled again: interceptors replace the calls of modules.
    """
    written = original_function(function)
    if not isinstance(written, types.FunctionType):
        return state.copy(written)
    global_state = _global_state(state, written)
    defaults, keywords = written.__defaults__ or (), written.__kwdefaults__ or {}
    has_own_globals = bool(global_state) or _writes_globals(written.__code__)
    if not (has_own_globals or written.__closure__ or any(map(has_state, (*defaults, *keywords.values())))):
        return written
    variables = _copied_globals(state, written) if has_own_globals else written.__globals__
    cells = tuple(types.CellType() for _ in written.__closure__ or ())
    copied = types.FunctionType(written.__code__, variables, written.__name__, None, cells)
    state.remember(function, copied)
    vars(copied).update(vars(written))
    copied.__qualname__, copied.__module__ = written.__qualname__, written.__module__
    copied.__defaults__ = tuple(map(state.copy, defaults)) or None
    copied.__kwdefaults__ = {name: state.copy(value) for name, value in keywords.items()} or None
    for cell, original in zip(cells, written.__closure__ or (), strict=True):
        try:
            cell.cell_contents = state.copy(original.cell_contents)
        except ValueError:  # a variable that has no value yet
            continue
    for name, value in global_state.items():
        if variables.get(name) is value:
            variables[name] = state.copy(value)
    return copied


def copy_method(state: CopyState, method: types.MethodType) -> Any:
    """Return a method bound to the copy of its object."""
    owner = state.copy(method.__self__)
    function = state.copy(method.__func__)
    is_unchanged = owner is method.__self__ and function is method.__func__
    return method if is_unchanged else types.MethodType(function, owner)


def copy_builtin_method(state: CopyState, method: Any) -> Any:
    """Return a method of a built-in container bound to the copy of that container."""
    owner = getattr(method, "__self__", None)
    copied = state.copy(owner) if state.has_rule(type(owner)) else owner
    return method if copied is owner else getattr(copied, method.__name__)


def copy_partial(state: CopyState, partial: functools.partial[Any]) -> functools.partial[Any]:
    """Return a partial of copies."""
    keywords = {name: state.copy(value) for name, value in partial.keywords.items()}
    return functools.partial(state.copy(partial.func), *map(state.copy, partial.args), **keywords)


def original_function(function: Any) -> Any:
    """Return the function that the user wrote, without wrappers of torch.compile or torch.compiler.disable."""
    while (inner := getattr(function, "_torchdynamo_orig_callable", None)) is not None:
        function = inner
    return function


@functools.cache
def referenced_names(code: types.CodeType) -> tuple[str, ...]:
    """Return the names of global variables and attributes in a function and the functions inside it."""
    inner = (name for const in code.co_consts if isinstance(const, types.CodeType) for name in referenced_names(const))
    return tuple(dict.fromkeys((*code.co_names, *inner)))


def has_state(value: Any) -> bool:
    """Return whether code may write into a value: a container, tensor, module, or object of a user's class."""
    if type(value) in _CONTAINERS:
        return True
    if isinstance(value, (nn.Module, functools.partial)) or (type(value) is Tensor and not value.is_meta):
        return True
    if isinstance(value, types.MethodType):
        return has_state(value.__self__)
    return not isinstance(value, (type, Enum, types.ModuleType, types.FunctionType)) and is_user_class(type(value))


@functools.cache
def _writes_globals(code: types.CodeType) -> bool:
    import dis

    inner = any(_writes_globals(const) for const in code.co_consts if isinstance(const, types.CodeType))
    return inner or any(step.opname == "STORE_GLOBAL" for step in dis.get_instructions(code))


def _copied_globals(state: CopyState, function: types.FunctionType) -> dict[str, Any]:
    """Return the copied global variables of the function's file, which all copied functions of that file share."""
    key = id(function.__globals__)
    if key not in state.global_variables:
        state.global_variables[key] = dict(function.__globals__)
        state.keep_alive(function.__globals__)
    return state.global_variables[key]


def _global_state(state: CopyState, function: types.FunctionType) -> dict[str, Any]:
    """Return the global variables that a function names and that code may write into."""
    if package_of(function) in STATELESS_PACKAGES:
        return {}
    variables = ((name, function.__globals__.get(name)) for name in referenced_names(function.__code__))
    return {name: value for name, value in variables if value is not function and _is_global_state(state, value)}


def _is_global_state(state: CopyState, value: Any) -> bool:
    if isinstance(value, types.FunctionType):  # a helper in the user's own file
        return package_of(value) not in STATELESS_PACKAGES and state.copy(value) is not value
    return has_state(value)
