"""Rules for convolutions, poolings and resampling: each result is at the centre of its window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from shapleycam.layers.coordinates.operation import Operation
from shapleycam.layers.coordinates.representation import Coordinates, broadcast, collapse, reduce

CONVOLUTIONS = {
    *("convolution", "_convolution", "cudnn_convolution", "mkldnn_convolution", "thnn_conv2d", "_slow_conv2d_forward"),
    *("slow_conv3d_forward", "_conv_depthwise2d", "conv_depthwise3d", "cudnn_convolution_relu", "miopen_convolution"),
    *("convolution_overrideable", "cudnn_convolution_transpose", "slow_conv_transpose2d"),
}
POOLINGS = {f"{kind}_pool{n}d{tail}" for n in (1, 2, 3) for kind, tail in (("max", ""), ("avg", ""))} | {
    "max_pool2d_with_indices", "max_pool3d_with_indices", "max_pool1d_with_indices", "mkldnn_max_pool2d",
    "mkldnn_max_pool3d",
}  # fmt: skip
ADAPTIVE_POOLINGS = {
    f"{prefix}adaptive_{kind}_pool{n}d" for n in (1, 2, 3) for kind in ("avg", "max") for prefix in ("", "_")
}


@dataclass(frozen=True)
class _Window:
    """The windows of all results along one dimension: their centres and half widths, in elements of the operand."""

    centres: Tensor
    half: Tensor


def convolution_rule(operation: Operation) -> Coordinates | None:
    """Return the coordinates of a convolution: those at the kernel's centre, the same for all channels of a group."""
    coordinates = operation.coordinates("input") if "input" in operation.arguments else operation.coordinates("self")
    if coordinates is None:
        return None
    weight, result = operation["weight"], operation.results[0]
    count = weight.dim() - 2
    stride, padding, dilation = (
        _per_axis(operation.arguments.get(name, default), count)
        for name, default in (("stride", 1), ("padding", 0), ("dilation", 1))
    )
    transposed = operation.arguments.get("transposed", "transpose" in operation.name)
    channel = coordinates.dim() - count - 1
    groups = operation.arguments.get("groups") or coordinates.shape[channel] // weight.shape[1]
    by_group = coordinates.unflatten(channel, (groups, -1))
    coordinates = reduce(by_group, [channel], keepdim=False)
    for axis in range(count):
        size = result.shape[result.dim() - count + axis]
        at = torch.arange(size, device=coordinates.device, dtype=torch.float32)
        reach = dilation[axis] * (weight.shape[2 + axis] - 1) / 2
        if transposed:
            centres, half = (at + padding[axis] - reach) / stride[axis], reach / stride[axis]
        else:
            centres, half = at * stride[axis] - padding[axis] + reach, reach
        window = _Window(centres, torch.full_like(at, half))
        coordinates = _through_windows(coordinates, coordinates.dim() - count + axis, window)
    channels_per_group = result.shape[channel - 1] // groups
    return coordinates if groups == 1 else coordinates.repeat_interleave(channels_per_group, channel)


def pooling_rule(operation: Operation) -> Coordinates | None:
    """Return the coordinates of a pooling: those at the centres of its windows."""
    coordinates = operation.coordinates("self")
    if coordinates is None:
        return None
    result, kernel = operation.results[0], operation["kernel_size"]
    count = int(operation.name.split("pool")[1][0])
    kernel = _per_axis(kernel, count)
    stride = _per_axis(operation.arguments.get("stride") or kernel, count)
    padding, dilation = (_per_axis(operation.arguments.get(n, d), count) for n, d in (("padding", 0), ("dilation", 1)))
    for axis in range(count):
        size = result.shape[result.dim() - count + axis]
        at = torch.arange(size, device=coordinates.device, dtype=torch.float32)
        reach = dilation[axis] * (kernel[axis] - 1) / 2
        window = _Window(at * stride[axis] - padding[axis] + reach, torch.full_like(at, reach))
        coordinates = _through_windows(coordinates, coordinates.dim() - count + axis, window)
    return coordinates


def adaptive_pooling_rule(operation: Operation) -> Coordinates | None:
    """Return the coordinates of an adaptive pooling: those at the centres of its windows, which are whole elements."""
    coordinates = operation.coordinates("self")
    if coordinates is None:
        return None
    count = int(operation.name.split("pool")[1][0])
    for dim in range(coordinates.dim() - count, coordinates.dim()):
        size = coordinates.shape[dim]
        after = operation.results[0].shape[dim - 1]
        at = torch.arange(after, device=coordinates.device)
        start, end = at * size // after, -(-(at + 1) * size // after)
        coordinates = _through_windows(coordinates, dim, _Window((start + end - 1) / 2, (end - start - 1) / 2))
    return coordinates


def resampling_rule(operation: Operation) -> Coordinates | None:
    """Return the coordinates after interpolation to another size."""
    coordinates = operation.coordinates(operation.first_argument)
    if coordinates is None:
        return None
    result = operation.results[0]
    count = coordinates.dim() - 3
    for dim in range(3, coordinates.dim()):
        size, after = coordinates.shape[dim], result.shape[dim - 1]
        at = torch.arange(after, device=coordinates.device, dtype=torch.float32)
        if operation.arguments.get("align_corners") and after > 1:
            centres = at * (size - 1) / (after - 1)
        else:
            centres = (at + 0.5) * size / after - 0.5
        half = torch.full_like(at, max(0.5, size / after / 2))
        coordinates = _through_windows(coordinates, dim, _Window(centres, half))
    return coordinates if count else None


def _through_windows(coordinates: Coordinates, dim: int, window: _Window) -> Coordinates:
    """Return the coordinates at the centres of windows along a dimension.

    Between two elements they are interpolated linearly, and beyond the edges extrapolated, so that padding does not
    move the results at the border.
    """
    shape = list(coordinates.shape[1:])
    shape[dim - 1] = len(window.centres)
    return broadcast(_at_centres(collapse(coordinates), dim, window), shape)


def _at_centres(coordinates: Coordinates, dim: int, window: _Window) -> Coordinates:
    count = coordinates.shape[dim]
    if count == 1:
        return coordinates.index_select(dim, torch.zeros_like(window.centres, dtype=torch.long))
    same = len(window.centres) == count and bool(
        (window.centres == torch.arange(count, device="cpu").to(window.centres)).all()
    )
    if same and not bool(window.half.any()):
        return coordinates
    steps = int(window.half.max().ceil())
    if steps and bool(coordinates[0].isnan().any()):
        coordinates = extrapolate(coordinates, dim, steps)
    lower = window.centres.floor().clamp(0, count - 2).long()
    shape = [-1 if axis == dim else 1 for axis in range(coordinates.dim())]
    share = (window.centres - lower).reshape(shape)
    before, after = coordinates.index_select(dim, lower), coordinates.index_select(dim, lower + 1)
    between = torch.where(share == 0, before, torch.where(share == 1, after, before + share * (after - before)))
    step = (after[:-1] - before[:-1]).abs().sum(0, keepdim=True).nan_to_num()
    spread = torch.where(share < 0.5, before, after)[-1:] + step * window.half.reshape(shape)
    return torch.cat([between[:-1], torch.where(between[:1].isnan(), between[-1:], spread)])


def extrapolate(coordinates: Coordinates, dim: int, steps: int) -> Coordinates:
    """Return coordinates in which padding, elements without a centre, is extrapolated linearly from its neighbours.

    An element is filled if the two elements next to it have a centre; `steps` is the largest width of the padding.
    """
    coordinates = coordinates.clone()
    inner = coordinates.shape[dim] - 2
    for _ in range(min(steps, inner)):
        is_missing = coordinates[:1].isnan()
        lines = [_lines_to_fill(coordinates, is_missing, dim, *starts) for starts in ((2, 1, 0), (0, 1, 2))]
        if not any(len(indices) for indices, _, _ in lines):
            break
        for indices, fills, filled in lines:  # if both sides have neighbours, the following ones are used
            coordinates.index_copy_(dim, indices, torch.where(fills, filled, coordinates.index_select(dim, indices)))
    return coordinates


def _lines_to_fill(
    coordinates: Coordinates, is_missing: Tensor, dim: int, start: int, near: int, far: int
) -> tuple[Int[Tensor, " lines"], Tensor, Coordinates]:
    """Return where to fill missing elements next to two known neighbours.

    `start`, `near` and `far` are the first indices of the elements, their neighbours and the neighbours beyond these.

    Returns:
        The indices along `dim`, the mask of the elements to fill there, and the extrapolated coordinates.
    """
    inner = coordinates.shape[dim] - 2
    fills = is_missing.narrow(dim, start, inner) & ~is_missing.narrow(dim, near, inner)
    fills &= ~is_missing.narrow(dim, far, inner)
    others = [axis for axis in range(coordinates.dim()) if axis != dim]
    lines = fills.amax(others).nonzero().flatten()
    one, two = (coordinates.index_select(dim, lines + begin) for begin in (near, far))
    return lines + start, fills.index_select(dim, lines), _next_in_line(one, two)


def _next_in_line(near: Coordinates, far: Coordinates) -> Coordinates:
    """Return the coordinates one step beyond `near`, on the line from `far` to `near`."""
    return torch.cat([2 * near[:-1] - far[:-1], near[-1:]])


def _per_axis(value: Any, count: int) -> Sequence[int]:
    """Return an argument as one number for each axis; it may be one number for all axes."""
    values = [value] if isinstance(value, int) else list(value)
    return values * count if len(values) == 1 else values
