"""Suspend checkpointing, compiled code, autocast and inference mode inside a model while it is explained.

- Gradient checkpointing runs parts of a model again in the backward pass, outside the traced pass.
- Autocast inside a model's forward computes in half precision.
- Inference mode returns tensors that cannot be part of a graph.
- Compiled functions would be compiled again, because interceptors replace the calls of modules.

All of these are suspended only in threads that explain. While there is at least one such thread, the names that PyTorch
looks up in each call are replaced by functions that do not change anything for other threads (docs/decisions.md,
"Gradient checkpointing and autocast inside a model are suspended").
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
"""The generators that run around a checkpointed function; the name depends on the version of PyTorch."""
_COMPILER_CALLBACK = "_callback_from_stance"
"""The function that chooses how compiled code runs; if it returns None, the original code runs."""

_replaced: list[tuple[Any, str, Any]] = []
"""The replaced names: the object, the name, and the original value."""


@contextmanager
def in_full_precision() -> Iterator[None]:
    """Compute in the precision of the tensors, whatever autocast and float32 arithmetic the caller has enabled."""
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
    frames = sys.modules.get("torch._dynamo.eval_frame")  # imported only if something was compiled
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
"""Context manager: suspend checkpointing, compiled code, autocast and inference mode in this thread."""


def _plain_if_suspended(apply: Callable[..., Any]) -> Callable[..., Any]:
    """Return a replacement for reentrant checkpointing, which only calls the function while it is suspended."""

    def apply_or_call(function: Callable[..., Any], preserve: bool, *args: Any) -> Any:  # noqa: FBT001  # PyTorch's own
        return function(*args) if _is_suspended() else apply(function, preserve, *args)

    return apply_or_call


def _empty_if_suspended(generator: Callable[..., Any]) -> Callable[..., Any]:
    """Return a replacement for non-reentrant checkpointing, which does nothing while it is suspended."""

    def generate(*args: Any, **kwargs: Any) -> Iterator[None]:
        if _is_suspended():
            yield
        else:
            yield from generator(*args, **kwargs)

    return generate


def _no_grad_if_suspended(enter: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return a replacement for entering inference mode, which enters no_grad while inference mode is suspended.

    Inference tensors cannot be part of a graph later.
    """

    def enter_mode(self: Any) -> Any:
        if not (_is_suspended() and self.mode):
            return enter(self)
        self._inference_mode_context = torch.no_grad()  # the context that `__exit__` exits
        self._inference_mode_context.__enter__()
        return None

    return enter_mode


def _none_if_suspended(choose: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return a replacement for the choice of compiled code, which chooses the original code while suspended."""

    def choose_callback(callback: Any) -> Any:
        return None if _is_suspended() else choose(callback)

    return choose_callback


def _disabled_if_suspended(enter: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return a replacement for entering autocast, which enters it disabled while autocast is suspended."""

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
