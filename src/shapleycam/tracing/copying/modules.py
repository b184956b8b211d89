"""Copy modules: their children, parameters, buffers, hooks and mode, and the class attributes their forward uses."""

from __future__ import annotations

import types
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from shapleycam.tracing.copying.functions import has_state, original_function, referenced_names
from shapleycam.tracing.copying.packages import STATELESS_PACKAGES, package_of
from shapleycam.tracing.copying.scripted import ScriptedCall
from shapleycam.tracing.copying.state import IMMUTABLE, AttributeRule, AttributeRules, CopyState
from shapleycam.tracing.copying.tensors import copy_parameter, copy_tensor
from shapleycam.tracing.hooks import FORWARD_HOOKS, PRE_HOOKS, HookProxy

_BACKWARD_HOOKS = {"_backward_hooks", "_backward_pre_hooks"}
_UNUSED_BY_FORWARD = {
    *("_non_persistent_buffers_set", "_forward_hooks_with_kwargs", "_forward_hooks_always_called"),
    *("_forward_pre_hooks_with_kwargs", "_state_dict_hooks", "_state_dict_pre_hooks"),
    *("_load_state_dict_pre_hooks", "_load_state_dict_post_hooks"),
}
"""Attributes of every module that no forward pass writes."""
_PLAIN_MAPPINGS = {dict, OrderedDict}


def copy_module(state: CopyState, module: nn.Module) -> nn.Module:
    """Return the copy of a module, of the same class, in eval mode."""
    if isinstance(module, torch.jit.ScriptModule):
        return state.remember(module, ScriptedCall(module, state.precision))  # type: ignore[no-any-return]
    kind = type(module)
    copied: nn.Module = state.remember(module, object.__new__(kind))
    attributes = dict(vars(module))
    for name, rule in _rules_of(state, attributes):
        value = attributes[name]
        if rule is None:
            attributes[name] = state.copy(value)
        elif type(value) in _PLAIN_MAPPINGS and not value:  # most mappings of a module are empty: a fast path
            attributes[name] = type(value)()
        else:
            attributes[name] = rule(state, module, value)
    object.__setattr__(copied, "__dict__", attributes)
    _bind_class_state(state, copied, kind)
    if "_orig_mod" in attributes["_modules"]:  # the result of torch.compile(module): run the module itself
        vars(copied)["forward"] = attributes["_modules"]["_orig_mod"]
    return copied


def _rules_of(state: CopyState, attributes: dict[str, Any]) -> AttributeRules:
    """Return the attributes to copy, with their rules; they are stored for modules with the same names and types."""
    key = tuple(attributes), tuple(map(type, attributes.values()))
    rules = state.attribute_rules.get(key)
    if rules is None:
        is_copied = {
            name: (type(value) not in IMMUTABLE or name == "training") and name not in _UNUSED_BY_FORWARD
            for name, value in attributes.items()
        }
        rules = tuple((name, _ATTRIBUTE_RULES.get(name)) for name, is_to_copy in is_copied.items() if is_to_copy)
        state.attribute_rules[key] = rules
    return rules


def _bind_class_state(state: CopyState, copied: nn.Module, kind: type[nn.Module]) -> None:
    """Set copies of class attributes on the copied module, if its forward uses them and they may be written into.

    These are containers and tensors that are class attributes, methods whose global variables contain state, and
    compiled methods. Classes are not copied, so that `isinstance` has the same result as in the user's model.
    """
    if kind not in state.class_state:
        state.class_state[kind] = _attributes_used_by_forward(kind)
    for name, value in state.class_state[kind].items():
        copied_value = state.copy(value)
        if copied_value is value or name in vars(copied):
            continue
        is_function = isinstance(value, types.FunctionType)
        vars(copied)[name] = types.MethodType(copied_value, copied) if is_function else copied_value


def _attributes_used_by_forward(kind: type[nn.Module]) -> dict[str, Any]:
    """Return a class's forward, and the class attributes that it uses, directly or in methods that it calls."""
    attributes: dict[str, Any] = {}
    for base in reversed(kind.__mro__):
        own = {name: value for name, value in vars(base).items() if not name.startswith("__")}
        if package_of(base) not in STATELESS_PACKAGES:
            attributes |= own
        else:  # a library class that overrides attributes of a user's class
            attributes = {name: value for name, value in attributes.items() if name not in own}
    used: dict[str, Any] = {}
    pending = ["forward"]
    while pending:
        name = pending.pop()
        if name in used or name not in attributes:
            continue
        used[name] = attributes[name]
        function = original_function(attributes[name])
        if isinstance(function, types.FunctionType):
            pending.extend(referenced_names(function.__code__))
    return {name: value for name, value in used.items() if isinstance(value, types.FunctionType) or has_state(value)}


def _copy_children(
    state: CopyState, _: nn.Module, children: Mapping[str, nn.Module | None]
) -> dict[str, nn.Module | None]:
    return {name: None if child is None else state.copy(child) for name, child in children.items()}


def _copy_parameters(
    state: CopyState, module: nn.Module, parameters: Mapping[str, Tensor | None]
) -> dict[str, Tensor | None]:
    owner = type(module).__name__
    return {name: None if p is None else copy_parameter(state, p, owner) for name, p in parameters.items()}


def _copy_buffers(state: CopyState, _: nn.Module, buffers: Mapping[str, Tensor | None]) -> dict[str, Tensor | None]:
    return {name: None if b is None else copy_tensor(state, b, is_buffer=True) for name, b in buffers.items()}


def _copy_forward_hooks(state: CopyState, module: nn.Module, hooks: Mapping[int, Any]) -> OrderedDict[int, Any]:
    if not hooks:
        return OrderedDict()
    return OrderedDict(
        (key, HookProxy(hook, module, state.copy(hook), state.visibility)) for key, hook in hooks.items()
    )


def _copy_mode(state: CopyState, module: nn.Module, training: bool) -> bool:  # noqa: FBT001  # an attribute's value
    """Return False for registered modules, as `model.eval()` does; other modules keep the mode that the user set."""
    return training and id(module) not in state.registered


_ATTRIBUTE_RULES: dict[str, AttributeRule] = {
    "training": _copy_mode,
    "_parameters": _copy_parameters,
    "_buffers": _copy_buffers,
    "_modules": _copy_children,
    "_compiled_call_impl": lambda *_: None,
    **dict.fromkeys((FORWARD_HOOKS, PRE_HOOKS), _copy_forward_hooks),
    **{name: lambda *_: OrderedDict() for name in _BACKWARD_HOOKS},
}
"""How the attributes that every module has are copied. Backward hooks are left out: they are for the user's training,
and one that changes gradients would change the explanation."""
