"""Copy tensors: parameters are shared, other tensors that a pass may write into are copied."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from shapleycam.errors import ModelError
from shapleycam.precision import HALF, widened
from shapleycam.tracing.copying.state import CopyState

_LARGE = 2**20
"""A tensor with at least this many elements, if it is not a buffer, is shared instead of copied. Writes into it are
detected by autograd's version counters (see `isolation.WrittenTensors`)."""
_PLAIN = frozenset({Tensor, nn.Parameter})


def copy_tensor(state: CopyState, tensor: Tensor, *, is_buffer: bool = False) -> Tensor:
    """Return the copy of a tensor; parameters, views of them and large tensors are shared."""
    known = state.known_copy(tensor)
    if known is not None:
        return known  # type: ignore[no-any-return]
    if type(tensor) is not Tensor and (isinstance(tensor, nn.Parameter) or is_lazy(tensor)):
        return copy_parameter(state, tensor)
    if not has_numbers(tensor):
        return tensor
    if storage_address(tensor) in state.parameter_storages:  # a view of a parameter stays a view
        return state.remember(tensor, tensor.detach())  # type: ignore[no-any-return]
    if tensor.numel() >= _LARGE and not is_buffer and tensor.dtype not in HALF:
        state.shared[id(tensor)] = ("tensor", tensor)
        return state.remember(tensor, tensor.detach())  # type: ignore[no-any-return]
    return state.remember(tensor, _converted(state, _clone(state, tensor.detach())))  # type: ignore[no-any-return]


def copy_parameter(state: CopyState, parameter: Tensor, owner: str = "the model") -> Tensor:
    """Return a parameter for the copied model; it shares memory with the original unless its dtype is converted.

    `owner` is the class of its module, for the error message.

    Raises:
        ModelError: the parameter is not initialised yet (a lazy module).
    """
    known = state.known_copy(parameter)
    if known is not None:
        return known  # type: ignore[no-any-return]
    is_plain = has_numbers(parameter)
    if not is_plain and is_lazy(parameter):
        raise ModelError(
            f"{owner} has lazily initialised parameters, whose shape is not known before a first pass; run the "
            "model once on an image, then explain it"
        )
    original = parameter.detach() if is_plain else parameter
    values = _converted(state, original) if is_plain else original
    if values is original and parameter.is_inference():
        values = original.clone()
    elif values is original:  # shared memory; gradients with respect to parameters are not needed
        state.shared[id(parameter)] = ("parameter", parameter)
        if not is_plain:
            return state.remember(parameter, parameter)  # type: ignore[no-any-return]
    return state.remember(parameter, nn.Parameter(values, requires_grad=False))  # type: ignore[no-any-return]


def copy_generator(state: CopyState, generator: torch.Generator) -> torch.Generator:
    """Return a random generator in the same state."""
    copied = torch.Generator(generator.device)
    copied.set_state(generator.get_state())
    return state.remember(generator, copied)  # type: ignore[no-any-return]


def has_numbers(tensor: Tensor) -> bool:
    """Return whether a tensor is one of PyTorch's own classes, with numbers in a storage that can be copied."""
    return type(tensor) in _PLAIN and tensor.layout == torch.strided and not tensor.is_meta


def storage_address(tensor: Tensor) -> int:
    """Return the address of a tensor's storage."""
    return tensor.untyped_storage().data_ptr()


def _clone(state: CopyState, tensor: Tensor) -> Tensor:
    """Return a copy of a tensor; tensors that share a storage share the copied storage."""
    storage = tensor.untyped_storage()
    address, is_known = storage.data_ptr(), storage.data_ptr() in state.storages
    if not is_known and storage.nbytes() == tensor.nbytes:
        copied = tensor.clone()
        if tensor.is_contiguous() or copied.stride() == tensor.stride():
            state.storages[address] = copied.untyped_storage()
            state.keep_alive(storage)
        return copied
    if not is_known:  # views of one tensor stay views of one copy
        state.storages[address] = storage.clone()
        state.keep_alive(storage)
    view = (tensor.storage_offset(), tensor.size(), tensor.stride())
    empty = torch.empty(0, dtype=tensor.dtype, device=tensor.device)
    return empty.set_(state.storages[address], *view)


def _converted(state: CopyState, tensor: Tensor) -> Tensor:
    """Return a tensor in the copy's precision."""
    if state.precision is None:
        return widened(tensor)
    return tensor.to(state.precision) if tensor.is_floating_point() else widened(tensor)
