"""Test whether a layer reads the border of the image, if the cells of its grid end far inside the image.

Convolutions without padding have no cells at the border, but they read it. A crop inside the model does not read it.
Deep layers have receptive fields as large as the image, so coordinates cannot distinguish the two cases
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
"""The tolerance for unchanged activations, as a share of the largest entry: rounding may depend on memory alignment."""


@dataclass(frozen=True)
class Border:
    """Pixels at one end of an axis of the image that a layer must read.

    Attributes:
        axis: the number of the axis, not counting the channels.
        at_end: whether the border is at the end of the axis, not at its start.
        pixels: the width of the border.
        mismatch: if the layer does not read the border, the part of the image that its grid covers, in words.
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
    """Return, for each layer that has one, a border that the layer does not read.

    Args:
        model: a private copy of the model.
        image: one image (1, ...).
        channels: the axis of the image's channels.
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
        # A layer that reads a narrow border reads a wider one too, so most layers need only one trial.
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
    """Return the activations of layers for an image; empty if the model raises."""
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
    except ModelError:  # no activations to compare, so no border counts as unread
        return {}
    return activations


def is_unchanged(first: Tensor | None, second: Tensor | None, tolerance: float = _UNCHANGED) -> bool:
    """Return whether two tensors are equal, up to `tolerance` as a share of the largest number, and not only zeros.

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
