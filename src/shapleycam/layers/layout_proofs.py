"""Prove the layouts of all layers of a model in one run, once for each model and image size."""

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
    """What is proven about the layers of a model, for all images of a size or for one image.

    Attributes:
        results: the results for all layers, by name.
        lost: the operations without a rule for coordinates.
        is_of_one_image: whether the model's code reads the image's content, so that another image may take another way.
        further: the numbers of the model's further inputs, if the operations depend on them; None for any.
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


_MAX_SIZES = 64
"""For how many image sizes the proofs about a model are stored."""


class ModelProofs:
    """What was proven about a model; it is valid as long as the model consists of the same modules.

    Attributes:
        layouts: the layouts of all layers, by image size and the axis of the channels.
        channel_axes: the axis of the channels, by image size.
    """

    def __init__(self, modules: list[nn.Module]) -> None:
        self._modules = tuple(map(ref, modules))
        self.layouts: LRUCache[tuple[torch.Size, int], ModelLayouts] = LRUCache(_MAX_SIZES)
        self.channel_axes: LRUCache[torch.Size, int] = LRUCache(_MAX_SIZES)

    def holds_for(self, modules: list[nn.Module]) -> bool:
        """Return whether a model still consists of the same modules."""
        return [module() for module in self._modules] == modules


_proofs: WeakKeyDictionary[nn.Module, ModelProofs] = WeakKeyDictionary()
"""What was proven about each of the user's models."""


def proofs_of(model: nn.Module) -> ModelProofs:
    """Return what was proven about a model; an empty `ModelProofs` if its modules changed since."""
    modules = modules_of(model)
    proofs = _proofs.get(model)
    if proofs is None or not proofs.holds_for(modules):
        proofs = _proofs[model] = ModelProofs(modules)
    return proofs


def share_proofs(model: nn.Module, like: nn.Module) -> None:
    """Let a model share the proofs about another model with the same architecture and other weights.

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
    """Return the layouts of all layers for the first image, whose channels are along axis `channels`.

    The result is kept for other images of this size if the operations do not depend on their content
    (docs/decisions.md, "A layout is proven for each image where the content decides"). `extra` are the model's further
    inputs for the first image.

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
    """Run the model on one image, and return the layouts that follow from the tracked coordinates."""
    image = image.detach().clone()
    with isolated_copy(model) as copied:
        tracker = CoordinateTracker(image)
        recorder = _LayoutRecorder(tracker, image, channels)
        interceptors = {module: recorder.interceptor(name) for name, module in copied.named_modules() if name}
        try:
            with intercept_calls(interceptors), tracker, MemoryReads(tracker.knows) as memory_reads:
                run(copied, image, extra, own_images=True)
        except ModelError:
            run(copied, image, extra)  # if the model raises without the tracker too, the user must get this error
            unknown = LayoutResult(None, "", unknown=True)
            results = {name: unknown for name, _ in model.named_modules()}
            return ModelLayouts(results, ("forward",), is_of_one_image=True)
        results = recorder.results
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


class _LayoutRecorder:
    """Derives the layouts of the layers' activations while a model runs; `results` are by the layer's name.

    Consecutive calls often return tensors with the same coordinates (a norm, an activation function). Then the layout
    is derived once.
    """

    def __init__(self, tracker: CoordinateTracker, image: Tensor, channels: int) -> None:
        self.results: dict[str, LayoutResult] = {}
        self._tracker = tracker
        self._size = [side for axis, side in enumerate(image.shape[1:], 1) if axis != channels]
        self._channel_row = channels - 1 if image.dim() == 5 else None  # images (b, c, h, w) have no such row
        self._last: tuple[Coordinates | None, LayoutResult] | None = None

    def interceptor(self, name: str) -> Interceptor:
        """Return the interceptor of a layer, which records the layout of what the layer returns for one image."""

        def observe(original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
            value = original(*args, **kwargs)
            activation = only_tensor(value)
            if activation is not None and activation.dim() >= 3 and len(activation) == 1:
                with self._tracker.paused():
                    self.results[name] = self._derive(self._coordinates(activation))
            return value

        return observe

    def _coordinates(self, activation: Tensor) -> Coordinates | None:
        """Return the coordinates of an activation without those along the image's channels."""
        coordinates = self._tracker.coordinates(activation)
        if coordinates is None or self._channel_row is None:
            return coordinates
        return coordinates[[row for row in range(len(coordinates)) if row != self._channel_row]]

    def _derive(self, coordinates: Coordinates | None) -> LayoutResult:
        if self._last is None or not _are_same_view(coordinates, self._last[0]):
            self._last = coordinates, derive_layout(coordinates, self._size)
        return self._last[1]


def _are_same_view(first: Tensor | None, second: Tensor | None) -> bool:
    """Return whether two tensors are the same view of the same memory. (Coordinates are never written into.)"""
    if first is None or second is None:
        return first is second
    return first.data_ptr() == second.data_ptr() and StridedView.of(first) == StridedView.of(second)
