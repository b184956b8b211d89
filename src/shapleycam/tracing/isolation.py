"""Private copies of the user's model, and the context in which they run.

A copy, and not functions patched into the user's modules: a model that serves in another thread meanwhile must give
right outputs, and modes, widened half-precision weights and buffers cannot be patched for one thread alone. What a pass
writes, it writes into the copy; nothing has to be restored (docs/decisions.md, "Models are explained through private
copies that share their parameters").
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import chain
from threading import RLock

import torch
from torch import Tensor, nn

from shapleycam.errors import ModelError
from shapleycam.tracing.attention import without_fast_path
from shapleycam.tracing.class_attributes import restore_class_attributes, user_classes
from shapleycam.tracing.copying import Copier
from shapleycam.tracing.input_layer import add_entrance
from shapleycam.tracing.modules import modules_of
from shapleycam.tracing.random_numbers import restore_python_generators, restore_torch_generators
from shapleycam.tracing.suspension import in_full_precision, suspend_wrappers

# Attributes of a private copy that the functions below keep there.
_LOCK = "_shapleycam_lock"
_VISIBILITY = "_shapleycam_visibility"
_SHARED = "_shapleycam_shared"
_CLASSES = "_shapleycam_classes"


@contextmanager
def isolated_copy(model: nn.Module) -> Iterator[nn.Module]:
    """Yield a private copy of the model, ready to run: see `private_copy` and `run_context`."""
    copied = private_copy(model)
    with run_context(copied):
        yield copied


def private_copy(model: nn.Module, precision: torch.dtype | None = None) -> nn.Module:
    """Return a copy of a model in eval mode and float32, without compiled code, that shares its parameters.

    Half-precision weights are widened in the copy; `precision` converts all others too. Modules have the names that
    they have in the model. The copy belongs to the caller alone, so that functions may be patched into it.

    Raises:
        ModelError: a module is lazily initialised, or has weights on the meta device that nothing puts in place.
    """
    modules = modules_of(model)
    _check_weights(model, modules)
    copier = Copier(model, precision)
    vars(copier.model)[_LOCK] = RLock()
    # Not the copier itself: it refers to the copy, and such a circle, with the widened weights in it, would stay in
    # memory until Python collects garbage. A GPU of a few gigabytes is full before.
    vars(copier.model)[_VISIBILITY], vars(copier.model)[_SHARED] = copier.visibility, copier.shared
    vars(copier.model)[_CLASSES] = user_classes(modules)
    add_entrance(copier.model)
    return copier.model


def _check_weights(model: nn.Module, all_modules: Iterable[nn.Module]) -> None:
    """Refuse weights on the meta device, unless a hook or a replaced forward may put them in place (accelerate)."""
    own = (weights for each in all_modules for weights in (each._parameters, each._buffers) if weights)  # noqa: SLF001
    if not any(tensor is not None and tensor.is_meta for weights in own for tensor in weights.values()):
        return
    modules = dict(model.named_modules())
    for name, module in modules.items():
        if not any(tensor is not None and tensor.is_meta for tensor in _weights_of(module)):
            continue
        around = (modules[""], *(modules[name[:end]] for end, mark in enumerate(name) if mark == "."), module)
        if not any("forward" in vars(outer) or outer._forward_pre_hooks for outer in around):  # noqa: SLF001
            raise ModelError(
                f"the weights of {name or 'the model'!r} are on the meta device, without numbers, and no hook puts "
                "them in place; expected a model with its weights: load them (to_empty() and load_state_dict())"
            )


def _weights_of(module: nn.Module) -> Iterator[Tensor | None]:
    """Yield a module's own parameters and buffers."""
    yield from chain(module._parameters.values(), module._buffers.values())  # noqa: SLF001


@contextmanager
def run_context(copied: nn.Module) -> Iterator[None]:
    """Run a private copy without inference mode, gradients, autocast and checkpointing, with its own random numbers.

    The random number generators (PyTorch's, numpy's and Python's), class attributes and the caller's modes are
    afterwards what they were, also after an error. Two threads that share a private copy take turns.
    """
    with (
        vars(copied)[_LOCK],
        restore_torch_generators(),
        restore_python_generators(),
        restore_class_attributes(vars(copied)[_CLASSES]),
        torch.inference_mode(mode=False),
        torch.no_grad(),
        in_full_precision(),
        without_fast_path(),
        suspend_wrappers(),
    ):
        yield


@contextmanager
def show_to_user_hooks(copied: nn.Module) -> Iterator[None]:
    """Let the user's own hooks see the pass that runs inside; see `HookProxy`."""
    visibility = vars(copied)[_VISIBILITY]
    visibility.visible = True
    try:
        yield
    finally:
        visibility.visible = False


def watch_shared_tensors(copied: nn.Module) -> WrittenTensors:
    """Begin to watch for writes into the tensors that a private copy has in common with the user's model."""
    return WrittenTensors(vars(copied)[_SHARED])


class WrittenTensors:
    """Notices writes in place into shared tensors, by autograd's version counters."""

    def __init__(self, shared: Mapping[int, tuple[str, Tensor]]) -> None:
        self._tensors = [(kind, t, t._version) for kind, t in shared.values() if not t.is_inference()]  # noqa: SLF001

    def describe_first(self) -> str | None:
        """Return a description of the first tensor that was written into since the watch began, or None."""
        changed = ((kind, t) for kind, t, version in self._tensors if t._version != version)  # noqa: SLF001
        kind, tensor = next(changed, (None, None))
        return None if tensor is None else f"a {kind} of shape {tuple(tensor.shape)}"


def device_of(model: nn.Module) -> torch.device:
    """Return the device of the model's first parameter or buffer that has numbers; the CPU for a model without any."""
    tensors = (tensor for tensor in chain(model.parameters(), model.buffers()) if not tensor.is_meta)
    tensor = next(tensors, None)
    return torch.device("cpu") if tensor is None else tensor.device
