"""Run batches of images in channels_last up to the layer, if that is faster and proven to give the same result.

PyTorch's convolutions on a CPU are faster if the channels of one pixel are adjacent in memory. Only the part before the
layer, which has no graph, runs in this memory order. The layer's output is put back in its default memory order, so the
memory layout of the head, its derivatives and everything that a caller gets does not change. Weights keep their memory
layout, because they are shared with the user's model (docs/decisions.md, "Images go through convolutions in
channels_last up to the layer").
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from shapleycam.tracing.checks import check_result, mark_checked
from shapleycam.tracing.input_layer import is_input
from shapleycam.tracing.interrupts import result_or_none
from shapleycam.tracing.library_code import library_code
from shapleycam.tracing.memory_views import StridedView, has_storage
from shapleycam.tracing.modules import modules_of
from shapleycam.tracing.torch_internals import parameters_of

_MAX_WEIGHTS_PER_PIXEL = 100
"""The most weights that convolutions may have for each pixel of the batch. Each pass reorders the weights too, and with
fewer pixels that costs more than channels_last gains: ResNet-18 takes 1.3 times as long on one image, 0.85 times on
four (bench/channels_last.py)."""
_WEIGHT_COUNT = "weights of convolutions"
"""The key of the stored number of weights of a model's convolutions; it is forgotten if the model changes."""

Form: TypeAlias = "Hashable | None"
"""What decides whether a batch can go through a model in channels_last; None if it must not be tried."""
_Result = TypeVar("_Result")


@dataclass(frozen=True)
class MemoryOrder:
    """A memory order: a tensor's dimensions, from the largest stride to the smallest."""

    dims: tuple[int, ...]

    @classmethod
    def of(cls, tensor: Tensor) -> MemoryOrder | None:
        """Return the memory order of a tensor; None if its elements do not fill its memory without gaps."""
        view = StridedView.of(tensor)
        if not view.is_dense:
            return None
        return cls(tuple(sorted(range(tensor.dim()), key=lambda dim: (-view.stride[dim], -view.size[dim], dim))))

    def apply(self, tensor: Tensor) -> Tensor:
        """Return the tensor in this memory order: the tensor itself if it has this order, or a copy."""
        inverse = sorted(range(tensor.dim()), key=self.dims.__getitem__)
        return tensor.permute(self.dims).contiguous().permute(inverse)


def form_of(model: nn.Module, images: Tensor, layer: str) -> Form:
    """Return the form of a batch for a layer, the key under which proofs are stored; None if it must not be tried.

    channels_last is tried if
    - the images are float32, (b, c, h, w), contiguous and on a CPU;
    - most layers with weights are 2-d convolutions, and there are enough pixels for their weights;
    - the model runs library code only, without hooks and replaced forwards. These could store tensors for the user, who
      expects the usual memory layout.

    The form contains the code of every module, so a proof is not used after the code was replaced.
    """
    if is_input(model, layer):  # nothing runs before this layer
        return None
    is_batch = images.dim() == 4 and images.dtype == torch.float32 and images.device.type == "cpu"
    if not (is_batch and images.is_contiguous() and torch.backends.mkldnn.is_available()):
        return None
    modules = modules_of(model)
    code = library_code(modules)
    if code is None:
        return None
    if not has_enough_pixels(model, len(images) * images.shape[2] * images.shape[3]):
        return None
    return layer, images.shape, code


def has_enough_pixels(model: nn.Module, pixels: int) -> bool:
    """Return whether channels_last gains more on this many pixels than reordering the weights costs."""
    weights = check_result(model, _WEIGHT_COUNT)
    if weights is None:
        weights = _count_convolution_weights(modules_of(model))
        mark_checked(model, _WEIGHT_COUNT, weights)
    return bool(0 < weights <= _MAX_WEIGHTS_PER_PIXEL * pixels)


def _count_convolution_weights(modules: Sequence[nn.Module]) -> int:
    """Return the number of weights of all 2-d convolutions; 0 if at most half of the layers with weights are such."""
    weights = [(module, parameters_of(module).get("weight")) for module in modules]
    layers = [(module, weight) for module, weight in weights if weight is not None and weight.dim() > 1]
    sizes = [weight.numel() for module, weight in layers if isinstance(module, nn.Conv2d)]
    return sum(sizes) if 2 * len(sizes) > len(layers) else 0


def is_telling(image: Tensor) -> bool:
    """Return whether an image (..., h, w) can show that pixels changed places: it is not its own mirror image."""
    return not any(torch.equal(image, image.flip(axis)) for axis in (-1, -2))


def run_fastest(
    owner: nn.Module,
    form: Form,
    learn_order: Callable[[], MemoryOrder | None],
    run: Callable[[MemoryOrder | None], _Result],
    proves: Callable[[_Result], bool],
) -> _Result:
    """Return the result of `run` in channels_last if that is proven to be right, otherwise in the default memory order.

    Args:
        owner: the user's model, for which proofs are stored.
        form: the form of the batch.
        learn_order: returns the default memory order of the layer's output; None if it has gaps in memory.
        run: a function that runs the model. Its argument is the memory order to put the layer's output in, and the
            images then are in channels_last; None runs the model in the default memory order.
        proves: returns whether a result in channels_last equals the default result, up to rounding.
    """
    if form is None:
        return run(None)
    known = check_result(owner, form)

    def run_in_order() -> tuple[_Result, MemoryOrder] | None:
        order: MemoryOrder | None = learn_order() if known is None else known
        if not order:
            return None
        result = run(order)
        return (result, order) if known or proves(result) else None

    # A model may raise any error for such images, for example at a view() of a tensor that is not contiguous. It then
    # runs again in the default memory order; if the memory order was not the reason, it raises again.
    proven = result_or_none(run_in_order)
    result, order = proven or (run(None), False)
    mark_checked(owner, form, order)
    return result


class BypassMonitor(TorchDispatchMode):
    """Context after the layer that detects whether an operation reads a tensor in channels_last from before the layer.

    `is_bypassed` says whether one was read: then the memory layout after the layer is not the default. Contiguous
    tensors, the `known` tensors and tensors that operations inside the context returned do not count.
    """

    def __init__(self, known: Iterable[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.is_bypassed = False
        self._known = {_storage_address(tensor) for tensor in known if has_storage(tensor)}

    def add(self, tensor: Tensor) -> None:
        """Add a tensor to the known ones."""
        self._known.add(_storage_address(tensor))

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the operation, and check what it reads."""
        kwargs = kwargs or {}
        # Addresses identify tensors: one that is read here is alive, so no other tensor can have its address.
        self.is_bypassed |= any(map(self._is_from_before, tree_leaves((args, kwargs))))
        value = func(*args, **kwargs)
        self._known |= {_storage_address(tensor) for tensor in tree_leaves(value) if has_storage(tensor)}
        return value

    def _is_from_before(self, operand: Any) -> bool:
        return has_storage(operand) and not operand.is_contiguous() and _storage_address(operand) not in self._known


def _storage_address(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()
