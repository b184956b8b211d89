"""Private copies of what a model is made of, so that nothing a pass writes reaches the user's objects.

Parameters are shared with the user's model. Everything that a forward pass may write into is copied: modules, buffers,
containers, tensors kept as attributes, arrays, random generators, and the objects and closures that hold them. Copies
of one `Copier` keep the references among each other. No method of the user's classes is called.
"""

from __future__ import annotations

import functools
import random
import sys
import types
import weakref
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Mapping
from copy import deepcopy
from enum import Enum
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from shapleycam.errors import ModelError
from shapleycam.precision import HALF, widened
from shapleycam.tracing.hooks import FORWARD_HOOKS, LIBRARIES, PRE_HOOKS, HookProxy, Observation
from shapleycam.tracing.modules import modules_of
from shapleycam.tracing.scripted import ScriptedCall

_IMMUTABLE = {
    *(type(None), bool, int, float, complex, str, bytes, range, slice, type(Ellipsis), type),
    *(torch.dtype, torch.device, torch.Size, torch.layout, torch.memory_format),
    *(types.ModuleType, types.CodeType),
}
_BACKWARD_HOOKS = {"_backward_hooks", "_backward_pre_hooks"}
_NOT_OF_FORWARD = {
    *("_non_persistent_buffers_set", "_forward_hooks_with_kwargs", "_forward_hooks_always_called"),
    *("_forward_pre_hooks_with_kwargs", "_state_dict_hooks", "_state_dict_pre_hooks"),
    *("_load_state_dict_pre_hooks", "_load_state_dict_post_hooks"),
}
"""What a module keeps that no forward pass writes."""
_SHARED_PACKAGES = frozenset(sys.stdlib_module_names) | {"torch", "numpy"}
"""Objects of these packages' classes are shared: loggers, locks, optimizers, graphs. What a model writes is its own."""
STATELESS_PACKAGES = _SHARED_PACKAGES | LIBRARIES
"""Packages whose functions keep no state in global variables, and whose classes keep none for all their objects."""
_LARGE = 2**20
"""Elements of a tensor outside parameters and buffers from which it is shared, not copied; writes into it are noticed
(see `Copier.shared`)."""
_HEAP_TYPE = 1 << 9  # of CPython's type flags: a class that was written in Python


class Copier:
    """Copies a model, and whatever hangs on it, once.

    `precision` is what floating-point parameters and buffers become; None widens half precision to float32 and leaves
    the rest. `shared` are the tensors that the copy has in common with the user's model.
    """

    def __init__(self, model: nn.Module, precision: torch.dtype | None = None) -> None:
        self.observation = Observation()
        self.shared: dict[int, tuple[str, Tensor]] = {}
        self._precision = precision
        modules = modules_of(model)
        self._registered = {id(module): module for module in modules}
        self._copies: dict[int, Any] = {}
        self._originals: list[Any] = []  # keeps them alive, since their identities are the keys
        self._storages: dict[int, torch.UntypedStorage] = {}
        parameters = (p for module in modules for p in module._parameters.values())  # noqa: SLF001
        self._parameter_storages = {
            _storage_of(p) for p in parameters if p is not None and not is_lazy(p) and _is_plain(p)
        }
        self._globals: dict[int, dict[str, Any]] = {}
        self._used_of_classes: dict[type[nn.Module], dict[str, Any]] = {}
        self.model: nn.Module = self.copy(model)

    def copy(self, value: Any) -> Any:
        """Return the private copy of a value, the value itself where nothing in it can be written."""
        kind = type(value)
        if kind in _IMMUTABLE:
            return value
        known = self._copies.get(id(value))
        if known is not None:
            return known
        rule = _RULES.get(kind)
        if rule is not None:
            return rule(self, value)
        for base, rule in _RULES_OF_BASES.items():
            if isinstance(value, base):
                return rule(self, value)
        return self._instance(value)

    def _keep(self, value: Any, copied: Any) -> Any:
        self._copies[id(value)] = copied
        self._originals.append(value)
        return copied

    def _module(self, module: nn.Module) -> nn.Module:
        if isinstance(module, torch.jit.ScriptModule):
            return self._keep(module, ScriptedCall(module, self._precision))  # type: ignore[no-any-return]
        kind = type(module)
        copied: nn.Module = self._keep(module, object.__new__(kind))
        state: dict[str, Any] = {}
        for name, value in vars(module).items():
            if name in _NOT_OF_FORWARD or (type(value) in _IMMUTABLE and name != "training"):
                state[name] = value
                continue
            part = _PARTS_OF_MODULES.get(name)
            state[name] = self.copy(value) if part is None else part(self, module, value)
        vars(copied).update(state)
        self._bind_class_state(copied, kind)
        if "_orig_mod" in state["_modules"]:  # what torch.compile(module) returned: the module itself is run
            vars(copied)["forward"] = state["_modules"]["_orig_mod"]
        return copied

    def _bind_class_state(self, copied: nn.Module, kind: type[nn.Module]) -> None:
        """Give the copy what its forward uses of its class and that is compiled, or can be written: containers and
        tensors, and functions that use such global variables.
        """
        if kind not in self._used_of_classes:
            self._used_of_classes[kind] = _used_of_class(kind)
        for name, value in self._used_of_classes[kind].items():
            own = self.copy(value)
            if own is not value and name not in vars(copied):
                vars(copied)[name] = types.MethodType(own, copied) if isinstance(value, types.FunctionType) else own

    def _children(self, _: nn.Module, children: Mapping[str, nn.Module | None]) -> dict[str, nn.Module | None]:
        return {name: None if child is None else self.copy(child) for name, child in children.items()}

    def _parameters(self, module: nn.Module, named: Mapping[str, Tensor | None]) -> dict[str, Tensor | None]:
        return {name: None if p is None else self._parameter(p, module) for name, p in named.items()}

    def _buffers(self, module: nn.Module, named: Mapping[str, Tensor | None]) -> dict[str, Tensor | None]:
        return {name: None if b is None else self._buffer(b, module) for name, b in named.items()}

    def _forward_hooks(self, module: nn.Module, hooks: Mapping[int, Any]) -> OrderedDict[int, Any]:
        if not hooks:
            return OrderedDict()
        return OrderedDict(
            (key, HookProxy(hook, module, self.copy(hook), self.observation)) for key, hook in hooks.items()
        )

    def _mode(self, module: nn.Module, training: bool) -> bool:  # noqa: FBT001  # an attribute's value
        """Eval mode for what `model.eval()` reaches, the user's own choice for modules that are not registered."""
        return training and id(module) not in self._registered

    def _parameter(self, parameter: Tensor, module: nn.Module | None = None) -> Tensor:
        known = self._copies.get(id(parameter))
        if known is not None:
            return known  # type: ignore[no-any-return]
        if is_lazy(parameter):
            kind = "the model" if module is None else type(module).__name__
            raise ModelError(
                f"{kind} has lazily initialised parameters, whose shape is not known before a first pass; run the "
                "model once on an image, then explain it"
            )
        wide = self._wide(parameter.detach()) if _is_plain(parameter) else parameter
        if parameter.is_inference():
            wide = wide.clone() if wide.is_inference() else wide
        if wide is parameter or _is_same_data(wide, parameter):
            self.shared[id(parameter)] = ("parameter", parameter)
            if not _is_plain(parameter):
                return self._keep(parameter, parameter)  # type: ignore[no-any-return]
            wide = parameter.detach()  # the same numbers; nothing is differentiated by them
        return self._keep(parameter, nn.Parameter(wide, requires_grad=False))  # type: ignore[no-any-return]

    def _buffer(self, buffer: Tensor, _: nn.Module | None = None) -> Tensor:
        return self._tensor(buffer, is_buffer=True)

    def _tensor(self, tensor: Tensor, *, is_buffer: bool = False) -> Tensor:
        known = self._copies.get(id(tensor))
        if known is not None:
            return known  # type: ignore[no-any-return]
        if isinstance(tensor, nn.Parameter) or is_lazy(tensor):
            return self._parameter(tensor)
        if not _is_plain(tensor):
            return tensor
        if _storage_of(tensor) in self._parameter_storages:  # a view of a parameter stays one
            return self._keep(tensor, tensor.detach())  # type: ignore[no-any-return]
        if tensor.numel() >= _LARGE and not is_buffer and tensor.dtype not in HALF:
            self.shared[id(tensor)] = ("tensor", tensor)
            return self._keep(tensor, tensor.detach())  # type: ignore[no-any-return]
        return self._keep(tensor, self._wide(self._cloned(tensor.detach())))  # type: ignore[no-any-return]

    def _cloned(self, tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.nbytes() == tensor.nbytes and storage.data_ptr() not in self._storages:
            copied = tensor.clone()
            if copied.stride() == tensor.stride():
                self._storages[storage.data_ptr()] = copied.untyped_storage()
                self._originals.append(storage)
            return copied
        if storage.data_ptr() not in self._storages:  # views of one tensor stay views of one copy
            self._storages[storage.data_ptr()] = storage.clone()
            self._originals.append(storage)
        place = (tensor.storage_offset(), tensor.size(), tensor.stride())
        empty = torch.empty(0, dtype=tensor.dtype, device=tensor.device)
        return empty.set_(self._storages[storage.data_ptr()], *place)

    def _wide(self, tensor: Tensor) -> Tensor:
        if self._precision is not None and tensor.is_floating_point():
            return tensor.to(self._precision)
        return widened(tensor)

    def _list(self, values: list[Any]) -> list[Any]:
        copied: list[Any] = self._keep(values, [])
        copied.extend(values if set(map(type, values)) <= _IMMUTABLE else map(self.copy, values))
        return copied

    def _tuple(self, values: tuple[Any, ...]) -> tuple[Any, ...]:
        copied = tuple(map(self.copy, values))
        return values if all(map(_is, copied, values)) else copied

    def _named_tuple(self, values: Any) -> Any:
        copied = [self.copy(value) for value in tuple.__iter__(values)]
        if all(map(_is, copied, tuple.__iter__(values))) or vars(type(values)).get("_fields") is None:
            return values
        return tuple.__new__(type(values), copied)

    def _set(self, values: set[Any]) -> set[Any]:
        return self._keep(values, type(values)(map(self.copy, values)))  # type: ignore[no-any-return]

    def _deque(self, values: deque[Any]) -> deque[Any]:
        return self._keep(values, deque(map(self.copy, values), values.maxlen))  # type: ignore[no-any-return]

    def _dict(self, values: dict[Any, Any]) -> dict[Any, Any]:
        copied = defaultdict(values.default_factory) if isinstance(values, defaultdict) else type(values)()
        self._keep(values, copied)
        dict.update(copied, {self.copy(key): self.copy(value) for key, value in values.items()})
        return copied

    def _namespace(self, values: types.SimpleNamespace) -> types.SimpleNamespace:
        copied = self._keep(values, types.SimpleNamespace())
        vars(copied).update({name: self.copy(value) for name, value in vars(values).items()})
        return copied  # type: ignore[no-any-return]

    def _array(self, array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        return self._keep(array, array.copy())  # type: ignore[no-any-return]

    def _deep(self, value: Any) -> Any:
        return self._keep(value, deepcopy(value))

    def _torch_generator(self, generator: torch.Generator) -> torch.Generator:
        copied = torch.Generator(generator.device)
        copied.set_state(generator.get_state())
        return self._keep(generator, copied)  # type: ignore[no-any-return]

    def _method(self, method: types.MethodType) -> Any:
        owner = self.copy(method.__self__)
        function = self.copy(method.__func__)
        unchanged = owner is method.__self__ and function is method.__func__
        return method if unchanged else types.MethodType(function, owner)

    def _builtin_method(self, method: Any) -> Any:
        owner = getattr(method, "__self__", None)
        copied = self.copy(owner) if type(owner) in _RULES else owner
        return method if copied is owner else getattr(copied, method.__name__)

    def _partial(self, partial: functools.partial[Any]) -> functools.partial[Any]:
        keywords = {name: self.copy(value) for name, value in partial.keywords.items()}
        return functools.partial(self.copy(partial.func), *map(self.copy, partial.args), **keywords)

    def _weak(self, reference: weakref.ref[Any]) -> weakref.ref[Any]:
        target = reference()
        return weakref.ref(self.copy(target)) if isinstance(target, nn.Module) else reference

    def _function(self, function: types.FunctionType) -> Any:
        """A function, as it was written, whose closure, defaults and global variables with state are copies."""
        written = _as_written(function)
        if not isinstance(written, types.FunctionType):
            return self.copy(written)
        state = self._global_state(written)
        defaults, keywords = written.__defaults__ or (), written.__kwdefaults__ or {}
        has_own_globals = bool(state) or _writes_globals(written.__code__)
        if not (has_own_globals or written.__closure__ or any(map(_has_state, (*defaults, *keywords.values())))):
            return written
        names = self._own_globals(written) if has_own_globals else written.__globals__
        cells = tuple(types.CellType() for _ in written.__closure__ or ())
        copied = types.FunctionType(written.__code__, names, written.__name__, None, cells)
        self._keep(function, copied)
        vars(copied).update(vars(written))
        copied.__qualname__, copied.__module__ = written.__qualname__, written.__module__
        copied.__defaults__ = tuple(map(self.copy, defaults)) or None
        copied.__kwdefaults__ = {name: self.copy(value) for name, value in keywords.items()} or None
        for cell, original in zip(cells, written.__closure__ or (), strict=True):
            try:
                cell.cell_contents = self.copy(original.cell_contents)
            except ValueError:  # a variable that has no value yet
                continue
        for name, value in state.items():
            if names.get(name) is value:
                names[name] = self.copy(value)
        return copied

    def _own_globals(self, function: types.FunctionType) -> dict[str, Any]:
        """The global variables of the function's file, of which copies of its functions have one set together."""
        key = id(function.__globals__)
        if key not in self._globals:
            self._globals[key] = dict(function.__globals__)
            self._originals.append(function.__globals__)
        return self._globals[key]

    def _global_state(self, function: types.FunctionType) -> dict[str, Any]:
        """The global variables that a function names and that hold something which can be written."""
        if _package_of(function) in STATELESS_PACKAGES:
            return {}
        named = ((name, function.__globals__.get(name)) for name in _names(function.__code__))
        return {name: value for name, value in named if value is not function and self._is_global_state(value)}

    def _is_global_state(self, value: Any) -> bool:
        if isinstance(value, types.FunctionType):  # a helper in the user's own file
            return _package_of(value) not in STATELESS_PACKAGES and self.copy(value) is not value
        return _has_state(value)

    def _instance(self, value: Any) -> Any:
        """An object of the user's: a new one of its class with copies of its attributes."""
        kind = type(value)
        if isinstance(value, (type, Enum, BaseException)) or not _is_own_class(kind):
            return value
        copied: Any
        if isinstance(value, dict):
            copied = self._keep(value, dict.__new__(kind))
            dict.update(copied, {self.copy(key): self.copy(item) for key, item in dict.items(value)})
        elif isinstance(value, list):
            copied = self._keep(value, list.__new__(kind))
            list.extend(copied, map(self.copy, list.__iter__(value)))
        else:
            try:
                copied = self._keep(value, object.__new__(kind))
            except TypeError:  # a class on top of one that is written in C
                return value
        if hasattr(value, "__dict__"):
            vars(copied).update({name: self.copy(item) for name, item in vars(value).items()})
        for name in _slots(kind):
            try:
                object.__setattr__(copied, name, self.copy(object.__getattribute__(value, name)))
            except AttributeError:  # an empty slot
                continue
        return copied


def _as_written(function: Any) -> Any:
    """A function as it was before torch.compile or torch.compiler.disable wrapped it."""
    while (inner := getattr(function, "_torchdynamo_orig_callable", None)) is not None:
        function = inner
    return function


def _used_of_class(kind: type[nn.Module]) -> dict[str, Any]:
    """A class's forward, and the attributes of the class that it names, itself or through its other methods."""
    bases = [base for base in reversed(kind.__mro__) if _package_of(base) not in STATELESS_PACKAGES]
    attributes = {name: value for base in bases for name, value in vars(base).items() if not name.startswith("__")}
    used: dict[str, Any] = {}
    ahead = ["forward"]
    while ahead:
        name = ahead.pop()
        if name in used or name not in attributes:
            continue
        used[name] = attributes[name]
        written = _as_written(attributes[name])
        if isinstance(written, types.FunctionType):
            ahead.extend(_names(written.__code__))
    return {name: value for name, value in used.items() if isinstance(value, types.FunctionType) or _has_state(value)}


@functools.cache
def _names(code: types.CodeType) -> tuple[str, ...]:
    """The names of global variables and attributes in a function and the functions inside it."""
    inner = (name for const in code.co_consts if isinstance(const, types.CodeType) for name in _names(const))
    return tuple(dict.fromkeys((*code.co_names, *inner)))


@functools.cache
def _writes_globals(code: types.CodeType) -> bool:
    import dis

    inner = any(_writes_globals(const) for const in code.co_consts if isinstance(const, types.CodeType))
    return inner or any(step.opname == "STORE_GLOBAL" for step in dis.get_instructions(code))


def _has_state(value: Any) -> bool:
    """Whether a value is one that code may write into: a container, a tensor, a module, an object of the user's."""
    if type(value) in _CONTAINERS:
        return True
    if isinstance(value, (nn.Module, functools.partial)) or (type(value) is Tensor and not value.is_meta):
        return True
    if isinstance(value, types.MethodType):
        return _has_state(value.__self__)
    return not isinstance(value, (type, Enum, types.ModuleType, types.FunctionType)) and _is_own_class(type(value))


def _is_own_class(kind: type) -> bool:
    """Whether a class was written in Python, by somebody other than PyTorch, numpy and the standard library."""
    return bool(kind.__flags__ & _HEAP_TYPE) and _package_of(kind) not in _SHARED_PACKAGES and not issubclass(
        kind, (torch.optim.Optimizer, torch.utils.data.Dataset, torch.utils.data.DataLoader)
    )  # fmt: skip


def _package_of(named: Any) -> str:
    package = str(named.__module__).partition(".")[0]
    return "" if package in {"__main__", "__mp_main__"} else package


def _slots(kind: type) -> list[str]:
    named = (vars(base).get("__slots__", ()) for base in kind.__mro__)
    flat = (name for names in named for name in ((names,) if isinstance(names, str) else names))
    return [name for name in flat if name not in {"__dict__", "__weakref__"}]


def _is_plain(tensor: Tensor) -> bool:
    """Whether a tensor is one of PyTorch's own, with numbers in a storage that can be copied."""
    return type(tensor) in {Tensor, nn.Parameter} and tensor.layout == torch.strided and not tensor.is_meta


def _storage_of(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _is_same_data(one: Tensor, other: Tensor) -> bool:
    return one.dtype == other.dtype and _storage_of(one) == _storage_of(other) and not other.is_inference()


def _is(one: Any, other: Any) -> bool:
    return one is other


_PARTS_OF_MODULES: dict[str, Callable[[Copier, nn.Module, Any], Any]] = {
    "training": Copier._mode,  # noqa: SLF001
    "_parameters": Copier._parameters,  # noqa: SLF001
    "_buffers": Copier._buffers,  # noqa: SLF001
    "_modules": Copier._children,  # noqa: SLF001
    "_compiled_call_impl": lambda *_: None,
    **dict.fromkeys((FORWARD_HOOKS, PRE_HOOKS), Copier._forward_hooks),  # noqa: SLF001
    **{name: lambda *_: OrderedDict() for name in _BACKWARD_HOOKS},
}
"""How a module's own attributes are copied. Its backward hooks are left out: they are for the user's training, and one
that changes gradients would change the explanation."""

_RULES: dict[type, Callable[[Copier, Any], Any]] = {
    list: Copier._list,  # noqa: SLF001
    tuple: Copier._tuple,  # noqa: SLF001
    set: Copier._set,  # noqa: SLF001
    deque: Copier._deque,  # noqa: SLF001
    dict: Copier._dict,  # noqa: SLF001
    OrderedDict: Copier._dict,  # noqa: SLF001
    defaultdict: Copier._dict,  # noqa: SLF001
    Counter: Copier._dict,  # noqa: SLF001
    types.SimpleNamespace: Copier._namespace,  # noqa: SLF001
    types.MethodType: Copier._method,  # noqa: SLF001
    types.FunctionType: Copier._function,  # noqa: SLF001
    types.BuiltinFunctionType: Copier._builtin_method,  # noqa: SLF001
    functools.partial: Copier._partial,  # noqa: SLF001
    weakref.ref: Copier._weak,  # noqa: SLF001
    np.ndarray: Copier._array,  # noqa: SLF001
    random.Random: Copier._deep,  # noqa: SLF001
    np.random.Generator: Copier._deep,  # noqa: SLF001
    np.random.RandomState: Copier._deep,  # noqa: SLF001
    torch.Generator: Copier._torch_generator,  # noqa: SLF001
}
_RULES_OF_BASES: dict[type, Callable[[Copier, Any], Any]] = {
    nn.Module: Copier._module,  # noqa: SLF001
    Tensor: Copier._tensor,  # noqa: SLF001
    tuple: lambda copier, value: copier._named_tuple(value),  # noqa: SLF001
}
_CONTAINERS = {list, dict, set, deque, defaultdict, Counter, OrderedDict, np.ndarray, types.SimpleNamespace}
