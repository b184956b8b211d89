"""Runs batches of images in channels_last up to the layer, where that is faster and proven to change nothing else.

PyTorch's convolutions on a CPU are faster where the numbers of one pixel lie side by side. Only what runs before the
layer sees it, without a graph: the layer's output is put back in the order of memory that it has by default, so that
the head, its derivatives and all that a caller gets are laid out as without it. Weights are left as they are, in the
user's memory (docs/decisions.md, "Images go through convolutions in channels_last up to the layer").
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
"""Of convolutions, for each pixel of the batch. Each pass puts the weights in order too, which costs more than it gains
behind fewer pixels: ResNet-18 takes 1.3 times as long on one image, 0.85 times on four (bench/channels_last.py)."""
_WEIGHTS = "weights of convolutions"
"""The key by which it is remembered how many weights a model's convolutions have; a changed model is counted anew."""

Form: TypeAlias = "Hashable | None"
"""What decides whether a batch can go through a model in channels_last; None where it is not to be tried."""
_Result = TypeVar("_Result")


@dataclass(frozen=True)
class MemoryOrder:
    """An order of memory: a tensor's dimensions, from the largest stride to the smallest."""

    dims: tuple[int, ...]

    @classmethod
    def of(cls, tensor: Tensor) -> MemoryOrder | None:
        """Return the order of a tensor; None where its numbers do not fill its memory without gaps."""
        view = StridedView.of(tensor)
        if not view.is_dense:
            return None
        return cls(tuple(sorted(range(tensor.dim()), key=lambda dim: (-view.stride[dim], -view.size[dim], dim))))

    def apply(self, tensor: Tensor) -> Tensor:
        """Return a tensor of the same numbers in this order: the tensor itself, or a copy."""
        inverse = sorted(range(tensor.dim()), key=self.dims.__getitem__)
        return tensor.permute(self.dims).contiguous().permute(inverse)


def form_of(model: nn.Module, images: Tensor, layer: str) -> Form:
    """Return the form of a batch for a layer, by which it is remembered what is proven; None where it is not tried.

    It is tried on float32 images (b, c, h, w) on a CPU, in models whose layers with weights are mostly convolutions of
    images, without hooks and replaced forwards: these may keep what passes by for the user, who is to find it laid out
    as ever. The form has the code of every module, so that what is known does not outlive a change of it.
    """
    if is_input(model, layer):  # nothing runs before it
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
    """Return whether convolutions gain from channels_last on maps of so many pixels, with the weights put in order."""
    weights = check_result(model, _WEIGHTS)
    if weights is None:
        weights = _weights_of_convolutions(modules_of(model))
        mark_checked(model, _WEIGHTS, weights)
    return bool(0 < weights <= _MOST_WEIGHTS * pixels)


def _weights_of_convolutions(modules: Sequence[nn.Module]) -> int:
    """Return how many weights the convolutions of images have; 0 where most layers with weights are others."""
    weights = [(module, module._parameters.get("weight")) for module in modules]  # noqa: SLF001
    layers = [(module, weight) for module, weight in weights if weight is not None and weight.dim() > 1]
    sizes = [weight.numel() for module, weight in layers if isinstance(module, nn.Conv2d)]
    return sum(sizes) if 2 * len(sizes) > len(layers) else 0


def is_telling(image: Tensor) -> bool:
    """Return whether numbers of an image (..., h, w) that change places would show: it is not its own mirror image."""
    return not any(torch.equal(image, image.flip(axis)) for axis in (-1, -2))


def run_fastest(
    owner: nn.Module,
    form: Form,
    learn_order: Callable[[], MemoryOrder | None],
    run: Callable[[MemoryOrder | None], _Result],
    proves: Callable[[_Result], bool],
) -> _Result:
    """Return what `run` returns: for images in channels_last where that is proven, or by default, for None.

    Args:
        owner: the user's model, by which it is remembered what is proven.
        form: of the batch.
        learn_order: returns the order of memory of the layer's output by default; None where it has none.
        run: runs the model, with images in channels_last and the layer's output put in an order; by default for None.
        proves: whether a result of channels_last is that of the default, but for rounding.
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
        # Whatever a model raises for such images (view() of what is not contiguous), it is run again by default, and
        # raises again where the images' layout is not the reason.
        if has_interrupt(error, handled):
            raise
    result = run(None)
    mark_checked(owner, form, result=False)
    return result


class BypassMonitor(TorchDispatchMode):
    """Context behind the layer that notes whether any operation reads images in channels_last from before the layer.

    Tensors that operations in the context made, the `known` ones and what is contiguous do not count. `is_bypassed` is
    whether another one was read: then what comes after the layer is not laid out as by default.
    """

    def __init__(self, known: Iterable[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.is_bypassed = False
        self._known = {_storage_address(tensor) for tensor in known if has_storage(tensor)}

    def add(self, tensor: Tensor) -> None:
        """Add a tensor to the known ones."""
        self._known.add(_storage_address(tensor))

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the operation, and look at what it reads."""
        kwargs = kwargs or {}
        # An address is not given to another tensor as long as one from before the layer is read there.
        self.is_bypassed |= any(map(self._is_from_before, tree_leaves((args, kwargs))))
        value = func(*args, **kwargs)
        self._known |= {_storage_address(tensor) for tensor in tree_leaves(value) if has_storage(tensor)}
        return value

    def _is_from_before(self, operand: Any) -> bool:
        return has_storage(operand) and not operand.is_contiguous() and _storage_address(operand) not in self._known


def _storage_address(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()
