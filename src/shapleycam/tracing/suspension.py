"""Suspends what PyTorch wraps around a pass and an explanation must not have: checkpointing, compiling, autocast.

Gradient checkpointing runs parts of a model again in the backward pass, outside the traced one; autocast written inside
a model's forward computes in half precision, and inference mode leaves tensors that no graph can hold; functions that a
model had compiled would be compiled anew around what is put in the place of its modules. All are suspended in the
threads that explain: the names that PyTorch looks up at each call are replaced while at least one thread does, by
functions that leave all other threads as they are (docs/decisions.md, "Gradient checkpointing and autocast inside a
model are suspended").
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
"""What runs around a checkpointed function; its name differs between versions of PyTorch."""
_COMPILER_CALLBACK = "_callback_from_stance"
"""The function that says how compiled code is run: where it returns None the code runs as it was written."""

_replaced: list[tuple[Any, str, Any]] = []
"""What was replaced: where, under which name, and what was there."""


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
    frames = sys.modules.get("torch._dynamo.eval_frame")  # where nothing was compiled, it is not imported
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
    """Return reentrant checkpointing that, where it is suspended, calls the function."""

    def apply_or_call(function: Callable[..., Any], preserve: bool, *args: Any) -> Any:  # noqa: FBT001  # PyTorch's own
        return function(*args) if _is_suspended() else apply(function, preserve, *args)

    return apply_or_call


def _empty_if_suspended(generator: Callable[..., Any]) -> Callable[..., Any]:
    """Return checkpointing without reentrance that, where it is suspended, does nothing around the function."""

    def generate(*args: Any, **kwargs: Any) -> Iterator[None]:
        if _is_suspended():
            yield
        else:
            yield from generator(*args, **kwargs)

    return generate


def _no_grad_if_suspended(enter: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return the entrance of inference mode that, where it is suspended, enters no_grad.

    Tensors of inference mode could take part in no graph later.
    """

    def enter_mode(self: Any) -> Any:
        if not (_is_suspended() and self.mode):
            return enter(self)
        self._inference_mode_context = torch.no_grad()  # what its __exit__ leaves
        self._inference_mode_context.__enter__()
        return None

    return enter_mode


def _none_if_suspended(choose: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return the compiler's callback that, where it is suspended, runs code as it was written."""

    def choose_callback(callback: Any) -> Any:
        return None if _is_suspended() else choose(callback)

    return choose_callback


def _disabled_if_suspended(enter: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return the entrance of autocast that, where it is suspended, enters it disabled."""

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
