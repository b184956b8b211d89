"""What PyTorch does around a pass that an explanation must not have: checkpointing, compiling, autocast and the like.

Gradient checkpointing runs parts of a model again in the backward pass, outside the traced one; autocast written inside
a model's forward computes in half precision, and inference mode leaves tensors that no graph can hold; functions that a
model had compiled would be compiled anew around what we put in the place of its modules. All are suspended in the
threads that explain: the names that PyTorch looks up are replaced while at least one thread does, by functions that
leave all other threads as they are.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from threading import Lock, local
from types import SimpleNamespace
from typing import Any

import torch
from torch.utils import checkpoint

_AUTOCAST = ("cpu", "cuda", "mps", "xpu")
_GENERATORS = ("_checkpoint_without_reentrant_generator", "_checkpoint_without_reentrant_generator_impl")
"""What runs around a checkpointed function; its name differs between versions of PyTorch."""
_COMPILER = "_callback_from_stance"
"""What says how a compiled function is run: None is as it was written."""

_thread = local()
_guard = Lock()
_users = 0
_restore = ExitStack()


@contextmanager
def suspended() -> Iterator[None]:
    """Run checkpointed functions as plain calls, and without autocast, in this thread."""
    global _users  # noqa: PLW0603  # how many threads are inside
    with _guard:
        if not _users:
            _replace_names()
        _users += 1
    _thread.depth = getattr(_thread, "depth", 0) + 1
    try:
        yield
    finally:
        _thread.depth -= 1
        with _guard:
            _users -= 1
            if not _users:
                _restore.close()


@contextmanager
def without_autocast() -> Iterator[None]:
    """Compute in the precision of the tensors, on whatever device the caller's autocast is."""
    with ExitStack() as off:
        for kind in _AUTOCAST:
            if torch.is_autocast_enabled(kind):
                off.enter_context(torch.autocast(kind, enabled=False))
        yield


def _is_suspended() -> bool:
    return bool(getattr(_thread, "depth", 0))


def _replace_names() -> None:
    _exchange(checkpoint, "CheckpointFunction", SimpleNamespace(apply=_reentrant(checkpoint.CheckpointFunction.apply)))
    for name in _GENERATORS:
        if hasattr(checkpoint, name):
            _exchange(checkpoint, name, _not_reentrant(getattr(checkpoint, name)))
    _exchange(torch.autocast, "__enter__", _entered(torch.autocast.__enter__))
    _exchange(torch.inference_mode, "__enter__", _without_inference(torch.inference_mode.__enter__))
    frames = sys.modules.get("torch._dynamo.eval_frame")  # where nothing was compiled, it is not imported
    if hasattr(frames, _COMPILER):
        _exchange(frames, _COMPILER, _compiled(getattr(frames, _COMPILER)))


def _exchange(holder: Any, name: str, replacement: Any) -> None:
    _restore.callback(setattr, holder, name, getattr(holder, name))
    setattr(holder, name, replacement)


def _reentrant(apply: Callable[..., Any]) -> Callable[..., Any]:
    def plain_or_not(function: Callable[..., Any], preserve: bool, *args: Any) -> Any:  # noqa: FBT001  # PyTorch's own
        return function(*args) if _is_suspended() else apply(function, preserve, *args)

    return plain_or_not


def _not_reentrant(generator: Callable[..., Any]) -> Callable[..., Any]:
    def plain_or_not(*args: Any, **kwargs: Any) -> Iterator[None]:
        if _is_suspended():
            yield
        else:
            yield from generator(*args, **kwargs)

    return plain_or_not


def _without_inference(enter: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Inference mode written inside a model is no_grad, since its tensors could take part in no graph later."""

    def enter_no_grad_or_inference(self: Any) -> Any:
        if not (_is_suspended() and self.mode):
            return enter(self)
        self._inference_mode_context = torch.no_grad()  # what its __exit__ leaves
        self._inference_mode_context.__enter__()
        return None

    return enter_no_grad_or_inference


def _compiled(choose: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def choose_or_none(callback: Any) -> Any:
        return None if _is_suspended() else choose(callback)

    return choose_or_none


def _entered(enter: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def enter_disabled_or_not(self: Any) -> Any:
        if not _is_suspended():
            return enter(self)
        enabled = self._enabled
        self._enabled = False
        try:
            return enter(self)
        finally:
            self._enabled = enabled

    return enter_disabled_or_not
