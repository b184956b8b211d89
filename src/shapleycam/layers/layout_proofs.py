"""What one run of a model proves of the layouts of all its layers, found once for a model and an image size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary, ref

import torch
from torch import Tensor, nn

from shapleycam.errors import ModelError
from shapleycam.layers.border_trial import find_unread_borders
from shapleycam.layers.coordinates import CoordinateTracker
from shapleycam.layers.coordinates.representation import Coordinates
from shapleycam.layers.layout_derivation import LayoutResult, derive_layout
from shapleycam.lru_cache import LRUCache
from shapleycam.tracing.extra import NO_EXTRA, ExtraInputs
from shapleycam.tracing.interception import Interceptor, intercept_calls
from shapleycam.tracing.isolation import isolated_copy
from shapleycam.tracing.memory_reads import MemoryReads
from shapleycam.tracing.memory_views import StridedView
from shapleycam.tracing.modules import modules_of
from shapleycam.tracing.nested import only_tensor, tensors_of
from shapleycam.tracing.running import run


@dataclass(frozen=True)
class ModelLayouts:
    """What is proven of the layers of a model, of all images of a size or of one image alone.

    Attributes:
        results: of all layers, by name.
        lost: the operations whose effect on coordinates is not known.
        is_of_one_image: whether the model's code reads the image's content, by which it may go another way for another.
        further: the numbers of the model's further inputs, where these may decide; None for any.
    """

    results: dict[str, LayoutResult]
    lost: tuple[str, ...]
    is_of_one_image: bool = False
    further: tuple[Tensor, ...] | None = None

    @property
    def is_of_all_images(self) -> bool:
        """Return whether it holds for all images of this size."""
        return not self.is_of_one_image and self.further is None

    def holds_with(self, extra: ExtraInputs) -> bool:
        """Return whether it holds for another image of this size with these further inputs."""
        if self.is_of_all_images:
            return True
        if self.is_of_one_image or self.further is None:
            return False
        others = _tensors_in(extra)
        return len(others) == len(self.further) and all(map(torch.equal, self.further, others))


_MOST = 64
"""For how many image sizes it is kept what was proven of a model."""


class ModelProofs:
    """What was proven of a model, valid as long as it consists of the same modules.

    `layouts` is by image size and the axis of the channels, `channel_axes` by image size.
    """

    def __init__(self, modules: list[nn.Module]) -> None:
        self._modules = tuple(map(ref, modules))
        self.layouts: LRUCache[tuple[torch.Size, int], ModelLayouts] = LRUCache(_MOST)
        self.channel_axes: LRUCache[torch.Size, int] = LRUCache(_MOST)

    def holds_for(self, modules: list[nn.Module]) -> bool:
        """Return whether a model still consists of the same modules."""
        return [module() for module in self._modules] == modules


_proofs: WeakKeyDictionary[nn.Module, ModelProofs] = WeakKeyDictionary()
"""What was proven of each of the user's models."""


def proofs_of(model: nn.Module) -> ModelProofs:
    """Return what was proven of a model; empty where it was changed since."""
    modules = modules_of(model)
    proofs = _proofs.get(model)
    if proofs is None or not proofs.holds_for(modules):
        proofs = _proofs[model] = ModelProofs(modules)
    return proofs


def share_proofs(model: nn.Module, like: nn.Module) -> None:
    """Let a model of the same architecture, with other weights, share what was proven of another.

    Examples:
        >>> from torch import nn
        >>> from shapleycam.layers import share_proofs
        >>> model, randomised = nn.Sequential(nn.Conv2d(3, 4, 3)), nn.Sequential(nn.Conv2d(3, 4, 3))
        >>> share_proofs(randomised, like=model)
    """
    proofs, shared = proofs_of(like), ModelProofs(list(model.modules()))
    shared.layouts, shared.channel_axes = proofs.layouts, proofs.channel_axes
    _proofs[model] = shared


def prove_layouts(model: nn.Module, images: Tensor, channels: int, extra: ExtraInputs = NO_EXTRA) -> ModelLayouts:
    """Return what is proven for the first image, whose channels are along axis `channels`.

    It is kept for other images of this size where the operations do not depend on their content (docs/decisions.md,
    "A layout is proven for each image where the content decides"); `extra` are the further inputs of the first image.

    Raises:
        ModelError: the model raises.
    """
    layouts = proofs_of(model).layouts
    key = (images.shape[1:], channels)
    proven = layouts.get(key)
    if proven is None or not proven.holds_with(extra):
        proven = _derive_layouts(model, images[:1], channels, extra)
        if not proven.is_of_one_image:
            layouts.put(key, proven)
    return proven


def _derive_layouts(model: nn.Module, image: Tensor, channels: int, extra: ExtraInputs) -> ModelLayouts:
    image = image.detach().clone()
    results: dict[str, LayoutResult] = {}
    size = [side for axis, side in enumerate(image.shape[1:], 1) if axis != channels]
    with isolated_copy(model) as copied:
        tracker = CoordinateTracker(image)
        derive = _LayoutDerivation(size)

        def observer(name: str) -> Interceptor:
            def observe(original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
                value = original(*args, **kwargs)
                activation = only_tensor(value)
                if activation is not None and activation.dim() >= 3 and len(activation) == 1:
                    with tracker.paused():
                        coordinates = tracker.coordinates(activation)
                        if coordinates is not None and image.dim() == 5:
                            coordinates = coordinates[[row for row in range(len(coordinates)) if row != channels - 1]]
                        results[name] = derive(coordinates)
                return value

            return observe

        interceptors = {module: observer(name) for name, module in copied.named_modules() if name}
        try:
            with intercept_calls(interceptors), tracker, MemoryReads(tracker.knows) as memory_reads:
                run(copied, image, extra, own_images=True)
        except ModelError:
            run(copied, image, extra)  # an error that the model raises by itself is the user's to know
            unknown = LayoutResult(None, "", unknown=True)
            results = {name: unknown for name, _ in model.named_modules()}
            return ModelLayouts(results, ("forward",), is_of_one_image=True)
        borders = {name: result.borders for name, result in results.items()}
        for name, border in find_unread_borders(copied, image, channels, extra, borders).items():
            results[name] = LayoutResult(None, border.mismatch)
    further = _tensors_in(extra)
    return ModelLayouts(
        results,
        tuple(dict.fromkeys(tracker.lost)),
        tracker.reads_content or memory_reads.are_seen,
        tuple(tensor.clone() for tensor in further) if further and tracker.reads_other else None,
    )


def _tensors_in(extra: ExtraInputs) -> list[Tensor]:
    return tensors_of([extra.positional, dict(extra.keywords)])


class _LayoutDerivation:
    """Derives layouts from coordinates, once for calls in a row whose results have the same: a norm, an activation."""

    def __init__(self, size: list[int]) -> None:
        self._size = size
        self._last: tuple[Coordinates | None, LayoutResult] | None = None

    def __call__(self, coordinates: Coordinates | None) -> LayoutResult:
        if self._last is None or not _are_same_view(coordinates, self._last[0]):
            self._last = coordinates, derive_layout(coordinates, self._size)
        return self._last[1]


def _are_same_view(first: Tensor | None, second: Tensor | None) -> bool:
    """Return whether two tensors show the same memory alike; coordinates are never written into."""
    if first is None or second is None:
        return first is second
    return first.data_ptr() == second.data_ptr() and StridedView.of(first) == StridedView.of(second)
