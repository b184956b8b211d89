"""Copy a whole model, with a rule for each type of value.

Parameters are shared with the user's model. Everything that a forward pass may write into is copied: modules, buffers,
containers, tensors stored as attributes, arrays, random generators, and the objects and closures that refer to them.
The copies refer to each other as their originals do. No method of the user's classes is called, because a class may
define `copy` or `train` as something else (docs/decisions.md, "Models are explained through private copies that share
their parameters").
"""

from __future__ import annotations

import functools
import random
import types
import weakref
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from shapleycam.tracing.copying.functions import (
    copy_builtin_method,
    copy_function,
    copy_method,
    copy_partial,
)
from shapleycam.tracing.copying.modules import copy_module
from shapleycam.tracing.copying.objects import (
    copy_array,
    copy_deeply,
    copy_deque,
    copy_dict,
    copy_list,
    copy_namespace,
    copy_set,
    copy_tuple,
    copy_tuple_subclass,
    copy_user_object,
    copy_weak_proxy,
    copy_weak_reference,
)
from shapleycam.tracing.copying.state import IMMUTABLE, CopyState
from shapleycam.tracing.copying.tensors import copy_generator, copy_tensor, has_numbers, storage_address
from shapleycam.tracing.modules import modules_of
from shapleycam.tracing.torch_internals import parameters_of

_RULES: dict[type, Callable[[CopyState, Any], Any]] = {
    list: copy_list,
    tuple: copy_tuple,
    set: copy_set,
    deque: copy_deque,
    **dict.fromkeys((dict, OrderedDict, defaultdict, Counter), copy_dict),
    types.SimpleNamespace: copy_namespace,
    types.MethodType: copy_method,
    types.FunctionType: copy_function,
    types.BuiltinFunctionType: copy_builtin_method,
    functools.partial: copy_partial,
    weakref.ref: copy_weak_reference,
    **dict.fromkeys(weakref.ProxyTypes, copy_weak_proxy),
    np.ndarray: copy_array,
    **dict.fromkeys((random.Random, np.random.Generator, np.random.RandomState), copy_deeply),
    torch.Generator: copy_generator,
}
"""Rules for values of exactly these types."""
_RULES_FOR_SUBCLASSES: dict[type, Callable[[CopyState, Any], Any]] = {
    nn.Module: copy_module,
    Tensor: copy_tensor,
    tuple: copy_tuple_subclass,
}
"""Rules for values of these types and their subclasses, tried in this order."""


class Copier(CopyState):
    """Copies a model and the objects that it refers to; the copy is the attribute `model`.

    `precision` is the dtype of the copy's floating-point parameters and buffers; None converts half precision to
    float32 and does not change other dtypes.

    Examples:
        >>> from torch import nn
        >>> from shapleycam.tracing.copying import Copier
        >>> model = nn.Sequential(nn.Linear(3, 2), nn.Dropout()).train()
        >>> copied = Copier(model).model
        >>> copied.training, copied[0].weight.data_ptr() == model[0].weight.data_ptr()
        (False, True)
    """

    def __init__(self, model: nn.Module, precision: torch.dtype | None = None) -> None:
        super().__init__(precision)
        modules = modules_of(model)
        self.registered = {id(module) for module in modules}
        parameters = (p for module in modules for p in parameters_of(module).values())
        self.parameter_storages = {storage_address(p) for p in parameters if p is not None and has_numbers(p)}
        self.keep_alive(modules)
        self.model: nn.Module = self.copy(model)

    def copy(self, value: Any) -> Any:
        """Return the private copy of a value; the value itself if it contains nothing that can be written into."""
        kind = type(value)
        if kind in IMMUTABLE:
            return value
        known = self.known_copy(value)
        if known is not None:
            return known
        rule = _RULES.get(kind)
        if rule is not None:
            return rule(self, value)
        for base, rule in _RULES_FOR_SUBCLASSES.items():
            if isinstance(value, base):
                return rule(self, value)
        return copy_user_object(self, value)

    def has_rule(self, kind: type) -> bool:
        """Return whether there is a rule for values of exactly this type."""
        return kind in _RULES
