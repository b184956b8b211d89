"""Run batches of images in channels_last up to the layer, if that is faster and a comparison shows no other change.

PyTorch's convolutions on a CPU are faster if the channels of a pixel are contiguous in memory. Only the layers before
the explained one run in channels_last. The layer's output is put back in its default memory order, so that the head,
its derivatives and all results have the usual memory layout. The user's weights are not converted (docs/decisions.md,
"Images go through convolutions in channels_last up to the layer").
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from shapleycam.tracing.checks import check_result, mark_checked
from shapleycam.tracing.input_layer import is_input
from shapleycam.tracing.interrupts import has_interrupt
from shapleycam.tracing.library_code import library_code
from shapleycam.tracing.memory_views import StridedView, has_storage
from shapleycam.tracing.modules import modules_of

_MOST_WEIGHTS = 100
"""Maximum number of convolution weights for each pixel of the batch. Each pass also converts the weights, which does
not pay for few pixels: ResNet-18 takes 1.3 times as long for one image, 0.85 times for 4 (bench/channels_last.py)."""
_WEIGHTS = "weights of convolutions"
"""The key under which a model's number of convolution weights is cached; it is counted again for a changed model."""

Form: TypeAlias = "Hashable | None"
"""The key of the cached comparison for a model and batch; None if channels_last is not tried."""
_Result = TypeVar("_Result")


@dataclass(frozen=True)
class MemoryOrder:
    """The memory order of a tensor: its dimensions, from the largest stride to the smallest."""

    dims: tuple[int, ...]

    @classmethod
    def of(cls, tensor: Tensor) -> MemoryOrder | None:
        """Return the memory order of a tensor; None if there are gaps between its numbers."""
        view = StridedView.of(tensor)
        if not view.is_dense:
            return None
        return cls(tuple(sorted(range(tensor.dim()), key=lambda dim: (-view.stride[dim], -view.size[dim], dim))))

    def apply(self, tensor: Tensor) -> Tensor:
        """Return the tensor in this memory order: the tensor itself, or a copy."""
        inverse = sorted(range(tensor.dim()), key=self.dims.__getitem__)
        return tensor.permute(self.dims).contiguous().permute(inverse)


def form_of(model: nn.Module, images: Tensor, layer: str) -> Form:
    """Return the form of a batch for a layer, the key of the cached comparison; None if channels_last is not tried.

    It is tried for float32 images (b, c, h, w) on a CPU, and for models whose layers with weights are mostly
    convolutions of images. The model must not have hooks or replaced forwards, which may store tensors for the user,
    who expects the usual memory layout. The form contains the code of every module, so that changed code has another
    key.
    """
    if is_input(model, layer):  # no operation runs before it
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
    """Return whether channels_last is faster for this number of pixels, including the conversion of the weights."""
    weights = check_result(model, _WEIGHTS)
    if weights is None:
        weights = _weights_of_convolutions(modules_of(model))
        mark_checked(model, _WEIGHTS, weights)
    return bool(0 < weights <= _MOST_WEIGHTS * pixels)


def _weights_of_convolutions(modules: Sequence[nn.Module]) -> int:
    """Return the number of weights in convolutions of images; 0 if most layers with weights are of other types."""
    weights = [(module, module._parameters.get("weight")) for module in modules]  # noqa: SLF001
    layers = [(module, weight) for module, weight in weights if weight is not None and weight.dim() > 1]
    sizes = [weight.numel() for module, weight in layers if isinstance(module, nn.Conv2d)]
    return sum(sizes) if 2 * len(sizes) > len(layers) else 0


def is_telling(image: Tensor) -> bool:
    """Return whether an image (..., h, w) would show a permutation of its pixels: it is not its own mirror image."""
    return not any(torch.equal(image, image.flip(axis)) for axis in (-1, -2))


def run_fastest(
    owner: nn.Module,
    form: Form,
    learn_order: Callable[[], MemoryOrder | None],
    run: Callable[[MemoryOrder | None], _Result],
    proves: Callable[[_Result], bool],
) -> _Result:
    """Return the result of `run`: in channels_last if a comparison allows it, otherwise with the default layout.

    Args:
        owner: the user's model, for which the comparison is cached.
        form: the form of the batch.
        learn_order: returns the default memory order of the layer's output, or None.
        run: runs the model in channels_last and puts the layer's output in the given memory order; for None, runs it
            with the default layout.
        proves: returns whether a result in channels_last equals the default result up to rounding.
    """
    if form is None:
        return run(None)
    known = check_result(owner, form)
    handled = sys.exception()
    try:
        order = learn_order() if known is None else known
        result = run(order) if order else None
        if result is not None and (known or proves(result)):
            mark_checked(owner, form, order)
            return result
    except Exception as error:
        # A model may raise for such images (view() of a tensor that is not contiguous). It then runs again with the
        # default layout, and raises again if the layout is not the reason.
        if has_interrupt(error, handled):
            raise
    result = run(None)
    mark_checked(owner, form, result=False)
    return result


class BypassMonitor(TorchDispatchMode):
    """Context around the head that records whether it reads tensors in channels_last from before the layer.

    `is_bypassed` is True if an operation has read a tensor that is not contiguous, was not made inside the context, and
    is not one of the `known` tensors. Then the memory layout in the head differs from the default.
    """

    def __init__(self, known: Iterable[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.is_bypassed = False
        self._known = {_storage_address(tensor) for tensor in known if has_storage(tensor)}

    def add(self, tensor: Tensor) -> None:
        """Add a tensor to the known ones."""
        self._known.add(_storage_address(tensor))

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the operation, and check its operands."""
        kwargs = kwargs or {}
        # The address of a tensor from before the layer cannot be reused while the tensor is alive to be read.
        self.is_bypassed |= any(map(self._is_from_before, tree_leaves((args, kwargs))))
        value = func(*args, **kwargs)
        self._known |= {_storage_address(tensor) for tensor in tree_leaves(value) if has_storage(tensor)}
        return value

    def _is_from_before(self, operand: Any) -> bool:
        return has_storage(operand) and not operand.is_contiguous() and _storage_address(operand) not in self._known


def _storage_address(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()
