"""Suspend features of PyTorch that a traced pass must not use: checkpointing, compiled code, autocast, inference mode.

- Gradient checkpointing runs parts of a model again in the backward pass, outside of the traced pass.
- Autocast inside a model's forward computes in half precision.
- Tensors that are made in inference mode cannot be part of a graph.
- Functions that the model had compiled would be compiled again around the interceptors of its modules.

All are suspended in the threads that explain. While at least one thread explains, the names that PyTorch looks up at
each call are replaced by functions that change nothing for other threads (docs/decisions.md, "Gradient checkpointing
and autocast inside a model are suspended").
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace
from typing import Any

import torch
from torch.utils import checkpoint

from shapleycam.process_switches import ProcessSwitch
from shapleycam.tracing.float32_precision import full_float32

AUTOCAST_DEVICES = ("cpu", "cuda", "mps", "xpu")
_CHECKPOINT_GENERATORS = (
    "_checkpoint_without_reentrant_generator",
    "_checkpoint_without_reentrant_generator_impl",
)
"""The generator that runs around a checkpointed function; its name differs between versions of PyTorch."""
_COMPILER_CALLBACK = "_callback_from_stance"
"""The function that chooses how compiled code runs; if it returns None, the original Python code runs."""

_replaced: list[tuple[Any, str, Any]] = []
"""The replaced attributes: (object, name, original value)."""


@contextmanager
def in_full_precision() -> Iterator[None]:
    """Compute in the precision of the tensors, without the caller's autocast and reduced float32 arithmetic."""
    with full_float32(), ExitStack() as disabled:
        for device in AUTOCAST_DEVICES:
            if torch.is_autocast_enabled(device):
                disabled.enter_context(torch.autocast(device, enabled=False))
        yield


def _is_suspended() -> bool:
    return bool(SUSPENSION.depth)


def _replace_names() -> None:
    apply = _plain_if_suspended(checkpoint.CheckpointFunction.apply)
    _replace(checkpoint, "CheckpointFunction", SimpleNamespace(apply=apply))
    for name in _CHECKPOINT_GENERATORS:
        if hasattr(checkpoint, name):
            _replace(checkpoint, name, _empty_if_suspended(getattr(checkpoint, name)))
    _replace(torch.autocast, "__enter__", _disabled_if_suspended(torch.autocast.__enter__))
    _replace(torch.inference_mode, "__enter__", _no_grad_if_suspended(torch.inference_mode.__enter__))
    frames = sys.modules.get("torch._dynamo.eval_frame")  # it is imported only if something was compiled
    if hasattr(frames, _COMPILER_CALLBACK):
        _replace(frames, _COMPILER_CALLBACK, _none_if_suspended(getattr(frames, _COMPILER_CALLBACK)))


def _replace(holder: Any, name: str, replacement: Any) -> None:
    _replaced.append((holder, name, getattr(holder, name)))
    setattr(holder, name, replacement)


def _restore_names() -> None:
    for holder, name, original in reversed(_replaced):
        setattr(holder, name, original)
    _replaced.clear()


SUSPENSION = ProcessSwitch(_replace_names, _restore_names)
suspend_wrappers = SUSPENSION.hold
"""Context manager: checkpointed functions run as plain calls, without compiled code and autocast, in this thread."""


def _plain_if_suspended(apply: Callable[..., Any]) -> Callable[..., Any]:
    """Return reentrant checkpointing that only calls the function while suspended."""

    def apply_or_call(function: Callable[..., Any], preserve: bool, *args: Any) -> Any:  # noqa: FBT001  # PyTorch's own
        return function(*args) if _is_suspended() else apply(function, preserve, *args)

    return apply_or_call


def _empty_if_suspended(generator: Callable[..., Any]) -> Callable[..., Any]:
    """Return non-reentrant checkpointing that does nothing around the function while suspended."""

    def generate(*args: Any, **kwargs: Any) -> Iterator[None]:
        if _is_suspended():
            yield
        else:
            yield from generator(*args, **kwargs)

    return generate


def _no_grad_if_suspended(enter: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return `__enter__` of inference mode that enters no_grad while suspended.

    Tensors that are made in inference mode could not be part of a graph later.
    """

    def enter_mode(self: Any) -> Any:
        if not (_is_suspended() and self.mode):
            return enter(self)
        self._inference_mode_context = torch.no_grad()  # the attribute whose context `__exit__` leaves
        self._inference_mode_context.__enter__()
        return None

    return enter_mode


def _none_if_suspended(choose: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return the compiler's callback that chooses the original Python code while suspended."""

    def choose_callback(callback: Any) -> Any:
        return None if _is_suspended() else choose(callback)

    return choose_callback


def _disabled_if_suspended(enter: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return `__enter__` of autocast that enters it disabled while suspended."""

    def enter_autocast(self: Any) -> Any:
        if not _is_suspended():
            return enter(self)
        enabled = self._enabled
        self._enabled = False
        try:
            return enter(self)
        finally:
            self._enabled = enabled

    return enter_autocast
