"""Interception: run a function of this library in place of a module's call, in a private copy of a model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeAlias

from torch import nn

Interceptor: TypeAlias = "Callable[..., Any]"
"""A function that runs in place of a module's call; its arguments are the original call and the call's arguments."""


@contextmanager
def intercept_calls(interceptors: Mapping[nn.Module, Interceptor], layer: nn.Module | None = None) -> Iterator[None]:
    """Run `interceptor(original, *args, **kwargs)` in place of each module's call while the context is open.

    `original` is the whole call with the module's hooks. If the model calls the module's `forward` directly, it is that
    forward without the hooks.

    For `layer` only the forward is replaced, so its forward hooks run after the interceptor: a hook may store the
    layer's output for a later part of the model, and then it must store the output that the interceptor returns
    (docs/decisions.md, "Calls are intercepted at `_call_impl`'s entrance and at `forward`").
    """
    before = {module: dict(vars(module)) for module in interceptors}
    try:
        for module, interceptor in interceptors.items():
            _Interception(module, interceptor, of_call=module is not layer).install()
        yield
    finally:
        for module, attributes in before.items():
            for name in ("forward", "_compiled_call_impl"):
                if name in attributes:
                    vars(module)[name] = attributes[name]
                else:
                    vars(module).pop(name, None)


class _Interception:
    """Replaces a module's call (if `of_call`) and its `forward` (if called directly) by an interceptor."""

    def __init__(self, module: nn.Module, interceptor: Interceptor, *, of_call: bool) -> None:
        self._module, self._interceptor, self._of_call = module, interceptor, of_call
        self._forward = module.forward
        self._is_inside_call = False

    def install(self) -> None:
        """Install the replacements on the module."""
        if self._of_call:  # PyTorch runs `_compiled_call_impl` in place of the call, if it is set
            vars(self._module)["_compiled_call_impl"] = self._on_call
        vars(self._module)["forward"] = self._on_forward

    def _on_call(self, *args: Any, **kwargs: Any) -> Any:
        return self._interceptor(self._call_with_hooks, *args, **kwargs)

    def _call_with_hooks(self, *args: Any, **kwargs: Any) -> Any:
        self._is_inside_call = True
        try:
            return self._module._call_impl(*args, **kwargs)  # noqa: SLF001  # a call without `_compiled_call_impl`, which is set
        finally:
            self._is_inside_call = False

    def _on_forward(self, *args: Any, **kwargs: Any) -> Any:
        if self._is_inside_call:  # intercepted already, at the call
            self._is_inside_call = False
            return self._forward(*args, **kwargs)
        return self._interceptor(self._forward, *args, **kwargs)
