"""Private copies of the user's model, and the context in which they run.

Explanations run on a copy; the user's modules are not patched. Another thread may use the model at the same time and
must get right outputs, but the mode, widened half-precision weights and buffers cannot be patched for one thread alone.
A pass writes into the copy, so nothing has to be restored (docs/decisions.md, "Models are explained through private
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
from shapleycam.tracing.hooks import PRE_HOOKS
from shapleycam.tracing.input_layer import add_entrance
from shapleycam.tracing.modules import modules_of
from shapleycam.tracing.random_numbers import restore_python_generators, restore_torch_generators
from shapleycam.tracing.suspension import in_full_precision, suspend_wrappers
from shapleycam.tracing.torch_internals import version_of, weights_of

# Names of attributes that the functions below set on a private copy.
_LOCK = "_shapleycam_lock"
_VISIBILITY = "_shapleycam_visibility"
_SHARED = "_shapleycam_shared"
_CLASSES = "_shapleycam_classes"


@contextmanager
def isolated_copy(model: nn.Module) -> Iterator[nn.Module]:
    """Yield a private copy of the model, inside the context in which it runs: `private_copy` and `run_context`."""
    copied = private_copy(model)
    with run_context(copied):
        yield copied


def private_copy(model: nn.Module, precision: torch.dtype | None = None) -> nn.Module:
    """Return a copy of a model in eval mode, without compiled code, that shares the model's parameters.

    Half-precision weights become float32 in the copy; with `precision` all floating-point weights become that type.
    Modules keep their names. The copy belongs to the caller alone, who may patch functions into it.

    Raises:
        ModelError: a module is lazily initialised, or has weights on the meta device that no hook loads.
    """
    modules = modules_of(model)
    _check_weights(model, modules)
    copier = Copier(model, precision)
    vars(copier.model)[_LOCK] = RLock()
    # Do not store the copier itself: it refers to the copy, and the reference cycle would keep the widened weights in
    # memory until Python collects garbage. A GPU of a few gigabytes would be full before that.
    vars(copier.model)[_VISIBILITY], vars(copier.model)[_SHARED] = copier.visibility, copier.shared
    vars(copier.model)[_CLASSES] = user_classes(modules)
    add_entrance(copier.model)
    return copier.model


def _check_weights(model: nn.Module, all_modules: Iterable[nn.Module]) -> None:
    """Refuse weights on the meta device, unless a hook or a replaced forward may load them (as accelerate does)."""
    if not any(tensor is not None and tensor.is_meta for module in all_modules for tensor in weights_of(module)):
        return
    modules = dict(model.named_modules())
    for name, module in modules.items():
        if not any(tensor is not None and tensor.is_meta for tensor in weights_of(module)):
            continue
        around = (modules[""], *(modules[name[:end]] for end, mark in enumerate(name) if mark == "."), module)
        if not any("forward" in vars(outer) or vars(outer).get(PRE_HOOKS) for outer in around):
            raise ModelError(
                f"the weights of {name or 'the model'!r} are on the meta device, without numbers, and no hook puts "
                "them in place; expected a model with its weights: load them (to_empty() and load_state_dict())"
            )


@contextmanager
def run_context(copied: nn.Module) -> Iterator[None]:
    """Run a private copy without inference mode, gradients, autocast and checkpointing.

    Afterwards, also after an error, the random number generators (PyTorch's, numpy's and Python's), the class
    attributes and the caller's modes are restored. Two threads that share a private copy take turns.
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
    """Call the user's own hooks in the pass that runs inside this context; see `HookProxy`."""
    visibility = vars(copied)[_VISIBILITY]
    visibility.visible = True
    try:
        yield
    finally:
        visibility.visible = False


def watch_shared_tensors(copied: nn.Module) -> WrittenTensors:
    """Return a watch, begun now, for writes into the tensors that a private copy shares with the user's model."""
    return WrittenTensors(vars(copied)[_SHARED])


class WrittenTensors:
    """Detects in-place writes into shared tensors, by autograd's version counters."""

    def __init__(self, shared: Mapping[int, tuple[str, Tensor]]) -> None:
        self._tensors = [(kind, t, version_of(t)) for kind, t in shared.values() if not t.is_inference()]

    def describe_first(self) -> str | None:
        """Return a description of the first tensor that was written into since the watch began, or None."""
        changed = ((kind, t) for kind, t, version in self._tensors if version_of(t) != version)
        kind, tensor = next(changed, (None, None))
        return None if tensor is None else f"a {kind} of shape {tuple(tensor.shape)}"


def device_of(model: nn.Module) -> torch.device:
    """Return the device of the first parameter or buffer that is not on the meta device; the CPU if there is none."""
    tensors = (tensor for tensor in chain(model.parameters(), model.buffers()) if not tensor.is_meta)
    tensor = next(tensors, None)
    return torch.device("cpu") if tensor is None else tensor.device
