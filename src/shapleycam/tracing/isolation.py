"""Working with a user's model without touching it: on a private copy that shares its parameters.

A copy, and not functions patched into the user's modules: a model that serves in another thread meanwhile must give
right outputs, and modes, widened half-precision weights and buffers cannot be patched for one thread alone. What a pass
writes, it writes into the copy; there is nothing to restore.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import chain
from threading import RLock
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from shapleycam.errors import ModelError, ShapleyCamError
from shapleycam.models.wrappers import held_network_name, suggest_network
from shapleycam.tracing.attention import without_fast_path
from shapleycam.tracing.copying import Copier
from shapleycam.tracing.extra import NO_EXTRA, ExtraInputs
from shapleycam.tracing.modules import modules_of
from shapleycam.tracing.statics import class_attributes_kept, own_classes
from shapleycam.tracing.suspension import suspended, without_autocast
from shapleycam.wording import type_and_first_line

_LOCK = "_shapleycam_lock"
_COPIER = "_shapleycam_copier"
_CLASSES = "_shapleycam_classes"


@contextmanager
def isolated(model: nn.Module) -> Iterator[nn.Module]:
    """Give a private copy of the model to run: see `private_copy` and `undisturbed`."""
    copied = private_copy(model)
    with undisturbed(copied):
        yield copied


def private_copy(model: nn.Module, precision: torch.dtype | None = None) -> nn.Module:
    """Return a copy in eval mode and float32, as it was written (compiled code is passed by), sharing its parameters.

    Half-precision weights are widened in the copy; `precision` converts all others too. Modules have the names that
    they have in the model. It is the caller's alone, so that functions may be patched into it.

    Raises:
        ModelError: a module is lazily initialised, or has weights without numbers that nothing puts in place.
    """
    _check_weights(model)
    copier = Copier(model, precision)
    vars(copier.model)[_LOCK] = RLock()
    vars(copier.model)[_COPIER] = copier
    vars(copier.model)[_CLASSES] = own_classes(model)
    return copier.model


def _check_weights(model: nn.Module) -> None:
    """Refuse weights on the meta device, unless a hook or a replaced forward may put them in place (accelerate)."""
    tensors = (chain(m._parameters.values(), m._buffers.values()) for m in modules_of(model))  # noqa: SLF001
    if not any(tensor is not None and tensor.is_meta for own in tensors for tensor in own):
        return
    modules = dict(model.named_modules())
    for name, module in modules.items():
        own = chain(module._parameters.values(), module._buffers.values())  # noqa: SLF001
        if not any(tensor is not None and tensor.is_meta for tensor in own):
            continue
        around = (modules[""], *(modules[name[:end]] for end, mark in enumerate(name) if mark == "."), module)
        if not any("forward" in vars(outer) or outer._forward_pre_hooks for outer in around):  # noqa: SLF001
            raise ModelError(
                f"the weights of {name or 'the model'!r} are on the meta device, without numbers, and no hook puts "
                "them in place; expected a model with its weights: load them (to_empty() and load_state_dict())"
            )


@contextmanager
def undisturbed(copied: nn.Module) -> Iterator[None]:
    """Run a private copy outside inference mode, gradients, autocast and checkpointing, with random draws of its own.

    The random number generators (PyTorch's, numpy's and Python's) and the caller's context are afterwards what they
    were, also after an error.
    """
    device = device_of(copied)
    generators = [device] if device.type == "cuda" else []
    with (
        vars(copied)[_LOCK],  # two threads may share one trace
        torch.random.fork_rng(devices=generators),
        _python_generators_kept(),
        class_attributes_kept(vars(copied)[_CLASSES]),
        torch.inference_mode(mode=False),
        torch.no_grad(),
        without_autocast(),
        without_fast_path(),
        suspended(),
    ):
        yield


@contextmanager
def observed(copied: nn.Module) -> Iterator[None]:
    """Let the user's own hooks see the pass that runs inside; see `HookProxy`."""
    observation = vars(copied)[_COPIER].observation
    observation.on = True
    try:
        yield
    finally:
        observation.on = False


def written_by(copied: nn.Module) -> WrittenTensors:
    """Return a watch over the tensors that a private copy has in common with the user's model."""
    return WrittenTensors(vars(copied)[_COPIER].shared)


class WrittenTensors:
    """Notices writes in place into shared tensors, by autograd's version counters."""

    def __init__(self, shared: Mapping[int, tuple[str, Tensor]]) -> None:
        self._tensors = [(kind, t, t._version) for kind, t in shared.values() if not t.is_inference()]  # noqa: SLF001

    def first(self) -> str | None:
        """Describe the first tensor that was written since the watch began."""
        changed = ((kind, t) for kind, t, version in self._tensors if t._version != version)  # noqa: SLF001
        kind, tensor = next(changed, (None, None))
        return None if tensor is None else f"a {kind} of shape {tuple(tensor.shape)}"


def run(
    model: nn.Module, images: Tensor, extra: ExtraInputs = NO_EXTRA, purpose: str = "", *, own_images: bool = False
) -> Any:
    """Return the model's output for a batch of images, of which it gets a copy that it may write into.

    `purpose` says in an error what the pass was for, where that was not the images' own; `own_images` leaves out the
    copy.

    Raises:
        ModelError: the model raises; its own exception is the cause. (Out of memory is passed on as it is.)
    """
    try:
        return extra.call(model, images if own_images else images.clone())
    except (ShapleyCamError, torch.cuda.OutOfMemoryError):
        raise
    except Exception as error:
        reason = type_and_first_line(error).rstrip(": ")
        shown = f"the model raised {reason}, for images of shape {tuple(images.shape)}"
        if purpose:
            expected = "expected a model that takes any number of rows: use a method without a path or sampling"
            raise ModelError(f"{shown}, {purpose}; {expected}") from error
        raise ModelError(f"{shown}; {_remedy(error, model)}") from error


_OF_IMAGES = re.compile(
    r"channels?\b|\bshapes?\b|\bsizes?\b|dimension|\d-?d\b|height|width|resolution|\bimages?\b|pixel|"
    r"input type|dtype|double|\bbyte\b",
    re.IGNORECASE,
)
"""What PyTorch and models name when the images have a form that they cannot take."""
_NOT_OF_IMAGES = re.compile(r"cuda|cudnn|out of memory|stride|in-?place|view", re.IGNORECASE)


def _remedy(error: Exception, model: nn.Module) -> str:
    """What was expected and what to do: preprocessing is named only where the form of the images can be the cause."""
    text = str(error)
    if isinstance(error, TypeError) and re.search(r"forward\(\) missing \d+ required", text):
        return "expected a model of images alone: give its further arguments by inputs="
    if isinstance(error, NotImplementedError) and held_network_name(model):
        return f"expected a network, which it holds in .{held_network_name(model)}: {suggest_network(model)}"
    of_form = type(error) in {RuntimeError, ValueError, AssertionError, IndexError}
    if of_form and _OF_IMAGES.search(text) and not _NOT_OF_IMAGES.search(text):
        return "expected images that it can take: check preprocess= and their size and channels"
    return "expected a model that runs on them: its own error is the cause of this one"


Interceptor: TypeAlias = "Callable[..., Any]"
"""What runs in place of a module's call: it gets the original call, and then the call's arguments."""


@contextmanager
def intercepted(interceptors: Mapping[nn.Module, Interceptor], layer: nn.Module | None = None) -> Iterator[None]:
    """Run `interceptor(original, *args, **kwargs)` in place of each module's call, for modules of a private copy.

    The original is the whole call with the module's hooks; where the model calls a module's `forward` itself, it is
    that forward without them. Of `layer` only the forward is replaced: its hooks belong to what comes after it, since
    they may keep its output for a later part of the model, which then must be the output that is put in its place.
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
    """Puts an interceptor at the two entrances of a module: its call (`of_call`), and its forward where it is called
    directly.
    """

    def __init__(self, module: nn.Module, interceptor: Interceptor, *, of_call: bool) -> None:
        self._module, self._interceptor, self._of_call = module, interceptor, of_call
        self._forward = module.forward
        self._is_inside_call = False

    def install(self) -> None:
        """Replace the entrances; PyTorch looks for compiled code of a call in this attribute."""
        if self._of_call:
            vars(self._module)["_compiled_call_impl"] = self._called
        vars(self._module)["forward"] = self._forwarded

    def _called(self, *args: Any, **kwargs: Any) -> Any:
        return self._interceptor(self._call_with_hooks, *args, **kwargs)

    def _call_with_hooks(self, *args: Any, **kwargs: Any) -> Any:
        self._is_inside_call = True
        try:
            return self._module._call_impl(*args, **kwargs)  # noqa: SLF001
        finally:
            self._is_inside_call = False

    def _forwarded(self, *args: Any, **kwargs: Any) -> Any:
        if self._is_inside_call:  # intercepted already, at the call
            self._is_inside_call = False
            return self._forward(*args, **kwargs)
        return self._interceptor(self._forward, *args, **kwargs)


def device_of(model: nn.Module) -> torch.device:
    """Return where the model's first parameter or buffer is that has numbers; the CPU for a model without any."""
    tensors = (tensor for tensor in chain(model.parameters(), model.buffers()) if not tensor.is_meta)
    tensor = next(tensors, None)
    return torch.device("cpu") if tensor is None else tensor.device


@contextmanager
def _python_generators_kept() -> Iterator[None]:
    numbers, arrays = random.getstate(), np.random.get_state()  # noqa: NPY002  # the generator that models use
    try:
        yield
    finally:
        random.setstate(numbers)
        np.random.set_state(arrays)  # noqa: NPY002
