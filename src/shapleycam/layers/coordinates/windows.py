"""Convolutions, poolings and resampling: each result lies at the middle of the window that it looks through."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from shapleycam.layers.coordinates.arguments import Operation
from shapleycam.layers.coordinates.places import Places, compact, expanded, reduce

CONVOLUTIONS = {
    *("convolution", "_convolution", "cudnn_convolution", "mkldnn_convolution", "thnn_conv2d", "_slow_conv2d_forward"),
    *("slow_conv3d_forward", "_conv_depthwise2d", "conv_depthwise3d", "cudnn_convolution_relu", "miopen_convolution"),
    *("convolution_overrideable", "cudnn_convolution_transpose", "slow_conv_transpose2d"),
}
POOLINGS = {f"{kind}_pool{n}d{tail}" for n in (1, 2, 3) for kind, tail in (("max", ""), ("avg", ""))} | {
    "max_pool2d_with_indices", "max_pool3d_with_indices", "max_pool1d_with_indices", "mkldnn_max_pool2d",
    "mkldnn_max_pool3d",
}  # fmt: skip
ADAPTIVE = {f"{head}adaptive_{kind}_pool{n}d" for n in (1, 2, 3) for kind in ("avg", "max") for head in ("", "_")}


@dataclass(frozen=True)
class _Window:
    """Along one dimension: the middle of each result's window, in elements of the operand, and half its width."""

    middles: Tensor
    half: Tensor


def convolved(operation: Operation) -> Places | None:
    """Return the places of a convolution: in the middle of the kernel; channels of a group share them."""
    places = operation.places("input") if "input" in operation.arguments else operation.places("self")
    if places is None:
        return None
    weight, result = operation["weight"], operation.results[0]
    count = weight.dim() - 2
    stride, padding, dilation = (
        _sides(operation.arguments.get(name, default), count)
        for name, default in (("stride", 1), ("padding", 0), ("dilation", 1))
    )
    transposed = operation.arguments.get("transposed", "transpose" in operation.name)
    channel = places.dim() - count - 1
    groups = operation.arguments.get("groups") or places.shape[channel] // weight.shape[1]
    places = reduce(places.unflatten(channel, (groups, -1)), [channel], keepdim=False)  # over each group's channels
    for axis in range(count):
        size = result.shape[result.dim() - count + axis]
        at = torch.arange(size, device=places.device, dtype=torch.float32)
        reach = dilation[axis] * (weight.shape[2 + axis] - 1) / 2
        if transposed:
            middles, half = (at + padding[axis] - reach) / stride[axis], reach / stride[axis]
        else:
            middles, half = at * stride[axis] - padding[axis] + reach, reach
        places = _looked_through(places, places.dim() - count + axis, _Window(middles, torch.full_like(at, half)))
    each = result.shape[channel - 1] // groups
    return places if groups == 1 else places.repeat_interleave(each, channel)


def pooled(operation: Operation) -> Places | None:
    """Return the places of a pooling: in the middle of its windows."""
    places = operation.places("self")
    if places is None:
        return None
    result, kernel = operation.results[0], operation["kernel_size"]
    count = int(operation.name.split("pool")[1][0])
    kernel = _sides(kernel, count)
    stride = _sides(operation.arguments.get("stride") or kernel, count)
    padding, dilation = (_sides(operation.arguments.get(n, d), count) for n, d in (("padding", 0), ("dilation", 1)))
    for axis in range(count):
        size = result.shape[result.dim() - count + axis]
        at = torch.arange(size, device=places.device, dtype=torch.float32)
        reach = dilation[axis] * (kernel[axis] - 1) / 2
        window = _Window(at * stride[axis] - padding[axis] + reach, torch.full_like(at, reach))
        places = _looked_through(places, places.dim() - count + axis, window)
    return places


def pooled_to_size(operation: Operation) -> Places | None:
    """Return the places of an adaptive pooling: in the middle of its windows, of whole elements each."""
    places = operation.places("self")
    if places is None:
        return None
    count = int(operation.name.split("pool")[1][0])
    for dim in range(places.dim() - count, places.dim()):
        size = places.shape[dim]
        after = operation.results[0].shape[dim - 1]
        at = torch.arange(after, device=places.device)
        start, end = at * size // after, -(-(at + 1) * size // after)
        places = _looked_through(places, dim, _Window((start + end - 1) / 2, (end - start - 1) / 2))
    return places


def resampled(operation: Operation) -> Places | None:
    """Return the places after interpolation to another size."""
    places = operation.places(operation.first)
    if places is None:
        return None
    result = operation.results[0]
    count = places.dim() - 3
    for dim in range(3, places.dim()):
        size, after = places.shape[dim], result.shape[dim - 1]
        at = torch.arange(after, device=places.device, dtype=torch.float32)
        if operation.arguments.get("align_corners") and after > 1:
            middles = at * (size - 1) / (after - 1)
        else:
            middles = (at + 0.5) * size / after - 0.5
        places = _looked_through(places, dim, _Window(middles, torch.full_like(at, max(0.5, size / after / 2))))
    return places if count else None


def _looked_through(places: Places, dim: int, window: _Window) -> Places:
    """Places at the middles of windows along a dimension: between two elements, and beyond the edges, in line with the
    nearest two, so that padding does not move what lies at the border.
    """
    shape = list(places.shape[1:])
    shape[dim - 1] = len(window.middles)
    return expanded(_seen(compact(places), dim, window), shape)


def _seen(places: Places, dim: int, window: _Window) -> Places:
    count = places.shape[dim]
    if count == 1:
        return places.index_select(dim, torch.zeros_like(window.middles, dtype=torch.long))
    same = len(window.middles) == count and bool((window.middles == torch.arange(count).to(window.middles)).all())
    if same and not bool(window.half.any()):
        return places
    steps = int(window.half.max().ceil())
    if steps and bool(places[0].isnan().any()):
        places = continued(places, dim, steps)
    lower = window.middles.floor().clamp(0, count - 2).long()
    shape = [-1 if axis == dim else 1 for axis in range(places.dim())]
    share = (window.middles - lower).reshape(shape)
    before, after = places.index_select(dim, lower), places.index_select(dim, lower + 1)
    between = torch.where(share == 0, before, torch.where(share == 1, after, before + share * (after - before)))
    step = (after[:-1] - before[:-1]).abs().sum(0, keepdim=True).nan_to_num()
    spread = torch.where(share < 0.5, before, after)[-1:] + step * window.half.reshape(shape)
    return torch.cat([between[:-1], torch.where(between[:1].isnan(), between[-1:], spread)])


def continued(places: Places, dim: int, steps: int) -> Places:
    """Elements without a place beside two with one (padding) get the place that lies in line with these."""
    places = places.clone()
    count = places.shape[dim]
    for _ in range(min(steps, count - 2)):
        missing = places[:1].isnan()
        one, two = places.roll(-1, dim), places.roll(-2, dim)
        back, further = places.roll(1, dim), places.roll(2, dim)
        at = torch.arange(count, device=places.device).reshape([-1 if a == dim else 1 for a in range(places.dim())])
        ahead = missing & (at < count - 2) & ~one[:1].isnan() & ~two[:1].isnan()
        behind = missing & (at >= 2) & ~back[:1].isnan() & ~further[:1].isnan()
        places = torch.where(ahead, _in_line(one, two), torch.where(behind, _in_line(back, further), places))
        if not bool((ahead | behind).any()):
            break
    return places


def _in_line(near: Places, far: Places) -> Places:
    return torch.cat([2 * near[:-1] - far[:-1], near[-1:]])


def _sides(value: Any, count: int) -> Sequence[int]:
    values = [value] if isinstance(value, int) else list(value)
    return values * count if len(values) == 1 else values
