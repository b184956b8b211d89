"""Test whether a layer reads the image's border if the outermost cells of its grid are far inside the image.

Convolutions without padding read a border that the map leaves out; after a crop inside the model the border is not read
at all. In deep layers receptive fields are as large as the image, so that coordinates cannot distinguish the two
(docs/decisions.md, "A crop is told from convolutions without padding by what the outermost cells have mixed in").
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from shapleycam.errors import ModelError
from shapleycam.tracing.extra import ExtraInputs
from shapleycam.tracing.interception import Interceptor, intercept_calls
from shapleycam.tracing.nested import only_tensor
from shapleycam.tracing.running import run

_UNCHANGED = 1e-6
"""Tolerance relative to the largest number of an activation: kernels may round differently for other memory layouts."""


@dataclass(frozen=True)
class Border:
    """Pixels at an end of one of the image's axes that a layer must read.

    Attributes:
        axis: the index of the axis, without the channels.
        at_end: whether the pixels are at the end of the axis, and not at its start.
        pixels: the width of the border.
        mismatch: a phrase that says which part of the image the grid covers if the layer does not read the border.
    """

    axis: int
    at_end: bool
    pixels: int
    mismatch: str


def find_unread_borders(
    model: nn.Module,
    image: Tensor,
    channels: int,
    extra: ExtraInputs,
    borders: Mapping[str, Iterable[Border]],
) -> dict[str, Border]:
    """Return by name the layers that do not read one of their borders, with this border.

    Args:
        model: a private copy of the model.
        image: one image (1, ...).
        channels: the axis of the image that holds its channels.
        extra: the model's further inputs for the image.
        borders: the borders to test, by the layer's name.
    """
    by_end: dict[tuple[int, bool], list[tuple[int, str, Border]]] = defaultdict(list)
    for name, of_layer in borders.items():
        for border in of_layer:
            by_end[border.axis, border.at_end].append((border.pixels, name, border))
    layers = {name for entries in by_end.values() for _, name, _ in entries}
    unread: dict[str, Border] = {}
    base = _activations(model, image, extra, layers) if layers else {}
    for entries in by_end.values():
        # A layer that reads a narrow border also reads a wider one, so that most layers need a single test.
        open_entries = sorted(entries, key=lambda entry: entry[0])
        while open_entries:
            pixels, _, narrowest = open_entries[0]
            names = {name for _, name, _ in open_entries}
            changed = _activations(model, _change(image, narrowest, channels), extra, names)
            same = {name for name in names if is_unchanged(base.get(name), changed.get(name))}
            open_entries = [entry for entry in open_entries if entry[1] in same]
            unread.update({name: border for width, name, border in open_entries if width == pixels})
            open_entries = [entry for entry in open_entries if entry[0] > pixels]
    return unread


def _change(image: Tensor, border: Border, channels: int) -> Tensor:
    """Return the image with random pixels at a border."""
    axes = [axis for axis in range(1, image.dim()) if axis != channels]
    axis, changed = axes[border.axis], image.clone()
    start = image.shape[axis] - border.pixels if border.at_end else 0
    pixels = changed.narrow(axis, start, border.pixels)
    noise = torch.rand(pixels.shape, generator=torch.Generator().manual_seed(0), device="cpu", dtype=torch.float32)
    low, high = image.amin(), image.amax()
    pixels.copy_(low + (high - low).clamp(min=1) * noise.to(image))
    return changed


def _activations(model: nn.Module, image: Tensor, extra: ExtraInputs, layers: Iterable[str]) -> dict[str, Tensor]:
    """Return the layers' outputs for an image, by name; nothing if the model raises."""
    activations: dict[str, Tensor] = {}

    def keeper(name: str) -> Interceptor:
        def keep(original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
            value = original(*args, **kwargs)
            activation = only_tensor(value)
            if activation is not None:
                activations[name] = activation.detach().clone()
            return value

        return keep

    try:
        with torch.no_grad(), intercept_calls({model.get_submodule(name): keeper(name) for name in layers}):
            run(model, image, extra)
    except ModelError:  # the test shows nothing
        return {}
    return activations


def is_unchanged(first: Tensor | None, second: Tensor | None, tolerance: float = _UNCHANGED) -> bool:
    """Return whether two tensors have the same numbers, relative to the largest one, and are not all zero.

    Examples:
        >>> import torch
        >>> from shapleycam.layers.border_trial import is_unchanged
        >>> is_unchanged(torch.ones(3), torch.ones(3) + 1e-7), is_unchanged(torch.ones(3), torch.zeros(3))
        (True, False)
    """
    if first is None or second is None or first.shape != second.shape or not first.is_floating_point():
        return False
    if not first.numel():
        return False
    scale = first.nan_to_num().abs().amax()
    difference = (first - second).abs().nan_to_num().amax()
    return bool((scale > 0) & (difference <= tolerance * scale))
