"""Private copies of the user's model, and the context in which they run.

A copy is used instead of functions patched into the user's modules. Another thread may run the user's model at the same
time, and modes, widened half-precision weights and buffers cannot be patched for a single thread. A pass writes only
into the copy, so that nothing has to be restored (docs/decisions.md, "Models are explained through private copies that
share their parameters").
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

# Attributes that the functions below set on a private copy.
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
    """Return a copy of a model in eval mode and float32, without compiled code, that shares the model's parameters.

    Half-precision weights are widened in the copy; `precision` also converts all other weights. Modules have the same
    names as in the model. No other code uses the copy, so that the caller may patch functions into it.

    Raises:
        ModelError: a module is lazily initialised, or has weights on the meta device that no hook loads.
    """
    modules = modules_of(model)
    _check_weights(model, modules)
    copier = Copier(model, precision)
    vars(copier.model)[_LOCK] = RLock()
    # Do not store the copier itself. It has a reference to the copy, and such a cycle, with the widened weights, would
    # stay in memory until Python's garbage collector runs. A GPU with a few gigabytes would be full before.
    vars(copier.model)[_VISIBILITY], vars(copier.model)[_SHARED] = copier.visibility, copier.shared
    vars(copier.model)[_CLASSES] = user_classes(modules)
    add_entrance(copier.model)
    return copier.model


def _check_weights(model: nn.Module, all_modules: Iterable[nn.Module]) -> None:
    """Refuse weights on the meta device, unless a hook or a replaced forward may load them (accelerate)."""
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

    Afterwards the random number generators (PyTorch's, numpy's and Python's), class attributes and the caller's modes
    are restored, also after an error. A lock lets only one thread at a time run a private copy.
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
    """Context in which the user's own hooks see the pass; see `HookProxy`."""
    visibility = vars(copied)[_VISIBILITY]
    visibility.visible = True
    try:
        yield
    finally:
        visibility.visible = False


def watch_shared_tensors(copied: nn.Module) -> WrittenTensors:
    """Start to watch for writes into the tensors that a private copy shares with the user's model."""
    return WrittenTensors(vars(copied)[_SHARED])


class WrittenTensors:
    """Detects in-place writes into shared tensors, by autograd's version counters."""

    def __init__(self, shared: Mapping[int, tuple[str, Tensor]]) -> None:
        self._tensors = [(kind, t, t._version) for kind, t in shared.values() if not t.is_inference()]  # noqa: SLF001

    def describe_first(self) -> str | None:
        """Return a description of the first tensor that was written into since the start, or None."""
        changed = ((kind, t) for kind, t, version in self._tensors if t._version != version)  # noqa: SLF001
        kind, tensor = next(changed, (None, None))
        return None if tensor is None else f"a {kind} of shape {tuple(tensor.shape)}"


def device_of(model: nn.Module) -> torch.device:
    """Return the device of the model's first parameter or buffer that has numbers; the CPU for a model without any."""
    tensors = (tensor for tensor in chain(model.parameters(), model.buffers()) if not tensor.is_meta)
    tensor = next(tensors, None)
    return torch.device("cpu") if tensor is None else tensor.device
