"""The positions of a map that each position of a convolution's or pooling's result reads."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import torch
from jaxtyping import Int
from torch import Tensor

from shapleycam.game.attention.operation import Operation


def window_reads(
    sizes: Sequence[int], results: Sequence[int], steps: Sequence[tuple[int, int, int, int]]
) -> Int[Tensor, "rows reads"]:
    """Return for each place of the result the places of a map that it reads; -1 in the padding.

    Places are numbered in reading order.

    Args:
        sizes: the sizes of the map.
        results: the sizes of the result.
        steps: kernel size, stride, padding and dilation of each dimension.

    Examples:
        >>> window_reads([4], [2], [(3, 2, 1, 1)]).tolist()
        [[-1, 0, 1], [1, 2, 3]]
    """
    along = []
    for size, result, (kernel, stride, padding, dilation) in zip(sizes, results, steps, strict=True):
        starts = torch.arange(result, device="cpu")[:, None] * stride - padding
        places = starts + torch.arange(kernel, device="cpu") * dilation
        along.append(places.masked_fill((places < 0) | (places >= size), -1))
    reads = torch.zeros(1, 1, dtype=torch.long, device="cpu")
    for size, places in zip(sizes, along, strict=True):
        is_outside = (reads[:, None, :, None] < 0) | (places[None, :, None] < 0)
        joined = (reads[:, None, :, None] * size + places[None, :, None]).masked_fill(is_outside, -1)
        reads = joined.flatten(2).flatten(0, 1)
    return reads


def convolution_steps(operation: Operation, kernel: Sequence[int]) -> list[tuple[int, int, int, int]]:
    """Return kernel size, stride, padding and dilation of a convolution in each dimension."""
    stride, padding, dilation = (operation.argument(name) for name in ("stride", "padding", "dilation"))
    return _in_each_dimension(len(kernel), list(kernel), stride, padding, dilation)


def pooling_steps(operation: Operation, dims: int) -> list[tuple[int, int, int, int]]:
    """Return kernel size, stride, padding and dilation of a maximum pooling in each dimension."""
    kernel = operation.argument("kernel_size")
    stride = operation.argument("stride") or kernel
    padding, dilation = operation.argument("padding", 0), operation.argument("dilation", 1)
    return _in_each_dimension(dims, kernel, stride, padding, dilation)


def _in_each_dimension(dims: int, *arguments: int | Sequence[int]) -> list[tuple[int, int, int, int]]:
    """Return the arguments by dimension; a single number applies to all dimensions."""
    lists = [[argument] if isinstance(argument, int) else list(argument) for argument in arguments]
    columns = [numbers * dims if len(numbers) == 1 else numbers for numbers in lists]
    return [(kernel, stride, padding, dilation) for kernel, stride, padding, dilation in zip(*columns, strict=True)]


def periodic_colours(
    grid: Sequence[int], prefix: int, windows: Int[Tensor, "rows width"], outside: int, most: int
) -> Int[Tensor, " positions"] | None:
    """Return a colour for each position such that no window has a colour twice; None if no such colouring is found.

    Colours repeat with a period in each dimension. Their number is as small as possible, and at most `most`. Prefix
    tokens have the first colour.

    Examples:
        >>> windows = torch.tensor([[0, 1], [1, 2], [2, 3]])
        >>> periodic_colours([4], 0, windows, outside=2**40, most=9).tolist()
        [0, 1, 0, 1]
    """
    periods = [sides for sides in product(range(1, most + 1), repeat=len(grid)) if _size(sides) <= most]
    for sides in sorted(periods, key=_size):
        colours = torch.zeros(1, dtype=torch.long, device="cpu")
        for size, side in zip(grid, sides, strict=True):
            colours = (colours[:, None] * side + torch.arange(size, device="cpu") % side).flatten()
        colours = torch.cat([colours.new_zeros(prefix), colours])
        if _are_apart(colours, windows, outside):
            return colours
    return None


def _size(sides: Sequence[int]) -> int:
    size = 1
    for side in sides:
        size *= side
    return size


def _are_apart(colours: Tensor, windows: Tensor, outside: int) -> bool:
    """Return whether no window has a colour twice."""
    is_inside = windows != outside
    padded = torch.where(is_inside, windows, 0)
    shown = torch.where(is_inside, colours[padded], -1 - torch.arange(windows.shape[1], device="cpu"))
    ordered = shown.sort(1).values
    return not bool((ordered[:, 1:] == ordered[:, :-1]).any())
