"""Working with somebody else's model: alone, in eval mode, and leaving it as it was found."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import chain
from threading import Lock, RLock
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from shapleycam.errors import ModelError, ShapleyCamError

_AUTOCAST = ("cpu", "cuda", "mps", "xpu")
_HALF = {torch.float16, torch.bfloat16}
_locks: WeakKeyDictionary[nn.Module, RLock] = WeakKeyDictionary()
_locks_guard = Lock()


@dataclass(frozen=True)
class Parts:
    """All that a model consists of: its modules, and where it has tensors of half precision (a module, a name);
    `compiled` are those with another call (`module.compile()`), `wrappers` what `torch.compile(module)` returned.
    """

    modules: tuple[nn.Module, ...]
    halves: tuple[tuple[nn.Module, str], ...]
    compiled: tuple[nn.Module, ...]
    wrappers: Mapping[nn.Module, nn.Module]


def parts_of(model: nn.Module) -> Parts:
    """The parts of a model; to find them takes as long as a small head."""
    modules = tuple(model.modules())
    halves = tuple(
        (module, name)
        for module in modules
        for name, tensor in (*module._parameters.items(), *module._buffers.items())  # noqa: SLF001
        if tensor is not None and tensor.dtype in _HALF
    )
    compiled = tuple(module for module in modules if module._compiled_call_impl is not None)  # noqa: SLF001
    wrappers = {module: inner for module in modules if (inner := module._modules.get("_orig_mod"))}  # noqa: SLF001
    return Parts(modules, halves, compiled, wrappers)


@contextmanager
def borrowed(model: nn.Module, parts: Parts | None = None) -> Iterator[None]:
    """The model for this thread alone, in eval mode and in float32, as it was written (torch.compile's code is passed
    by), outside inference mode, gradients and autocast.

    `parts` are the model's, where the caller has them at hand. Modes, weights, the random number generators and the
    caller's context are afterwards what they were, also after an error. Derivatives and values are defined in float32:
    hence no autocast, and half-precision weights are widened meanwhile.
    """
    parts = parts or parts_of(model)
    device = device_of(model)
    generators = [device] if device.type == "cuda" else []
    with (
        _lock_of(model),
        torch.random.fork_rng(devices=generators),
        torch.inference_mode(mode=False),
        torch.no_grad(),
        without_autocast(),
        _in_eval_mode(parts.modules),
        _as_written(parts),
        _in_float32(parts.halves),
    ):
        yield


def run(model: nn.Module, images: Tensor) -> Any:
    """The model's output for a batch of images.

    Raises:
        ModelError: the model raises; its own exception is the cause. (Out of memory is passed on as it is.)
    """
    try:
        return model(images)
    except (ShapleyCamError, torch.cuda.OutOfMemoryError):
        raise
    except Exception as error:
        reason = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}".rstrip(": ")
        raise ModelError(
            f"the model raised {reason}, for images of shape {tuple(images.shape)}; expected images that it can take: "
            "check preprocess= and their size and channels"
        ) from error


@contextmanager
def without_autocast() -> Iterator[None]:
    """In the precision of the tensors, on whatever device the caller's autocast is."""
    with ExitStack() as off:
        for kind in _AUTOCAST:
            if torch.is_autocast_enabled(kind):
                off.enter_context(torch.autocast(kind, enabled=False))
        yield


@contextmanager
def patched(forwards: Mapping[nn.Module, Callable[..., Any]]) -> Iterator[None]:
    """Each module runs the given function in place of its `forward`; its hooks stay in force."""
    missing = object()
    before = {module: vars(module).get("forward", missing) for module in forwards}
    try:
        for module, forward in forwards.items():
            vars(module)["forward"] = forward
        yield
    finally:
        for module, own in before.items():
            if own is missing:
                vars(module).pop("forward", None)
            else:
                vars(module)["forward"] = own


def device_of(model: nn.Module) -> torch.device:
    """Where the model's first parameter or buffer is; the CPU for a model without any."""
    tensor = next(chain(model.parameters(), model.buffers()), None)
    return torch.device("cpu") if tensor is None else tensor.device


def _lock_of(model: nn.Module) -> RLock:
    with _locks_guard:
        return _locks.setdefault(model, RLock())


@contextmanager
def _as_written(parts: Parts) -> Iterator[None]:
    """Calls run a module's own code where `module.compile()` or `torch.compile(module)` put other code in its place."""
    compiled = {module: module._compiled_call_impl for module in parts.compiled}  # noqa: SLF001
    try:
        for module in compiled:
            module._compiled_call_impl = None  # noqa: SLF001
        with patched(parts.wrappers):
            yield
    finally:
        for module, code in compiled.items():
            module._compiled_call_impl = code  # noqa: SLF001


@contextmanager
def _in_float32(halves: Iterable[tuple[nn.Module, str]]) -> Iterator[None]:
    """Wider copies in the place of half-precision parameters and buffers, one for all places of the same tensor.

    A graph that is made meanwhile keeps the copies, so that its gradients may be taken later.
    """
    kept = [(module, name, getattr(module, name)) for module, name in halves]
    wider: dict[int, Tensor] = {}
    try:
        for module, name, tensor in kept:
            if tensor.dtype in _HALF:
                copy = wider.setdefault(id(tensor), tensor.detach().float())
                is_parameter = isinstance(tensor, nn.Parameter)
                setattr(module, name, nn.Parameter(copy, requires_grad=False) if is_parameter else copy)
        yield
    finally:
        for module, name, tensor in kept:
            setattr(module, name, tensor)


@contextmanager
def _in_eval_mode(modules: Iterable[nn.Module]) -> Iterator[None]:
    """Sets the flags themselves: a model's own `eval()` may do more (fold weights, say) than we could undo."""
    training = [module for module in modules if module.training]
    try:
        for module in training:
            module.training = False
        yield
    finally:
        for module in training:
            if type(module).train is not nn.Module.train:
                _train_with_children_kept(module)  # it may drop what it cached in eval mode (LeViT does)
            module.training = True


def _train_with_children_kept(module: nn.Module) -> None:
    modes = [(child, child.training) for child in module.modules()]
    module.train()
    for child, mode in modes:
        child.training = mode
