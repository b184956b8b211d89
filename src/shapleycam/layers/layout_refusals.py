"""Describe activations without a layout: the axes of their positions, or the order of their tokens."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import prod

import torch
from torch import Tensor

from shapleycam.layers.coordinates.representation import Coordinates, collapse


def varying_axes_description(coordinates: Coordinates, size: Sequence[int]) -> str | None:
    """Describe the axes of the activation along which coordinates vary; None if these are the axes of a layout."""
    coordinates, varies = collapse(coordinates), []
    for dim in range(1, coordinates.dim()):
        low = coordinates[:-1].nan_to_num(nan=torch.inf).amin(dim)
        high = coordinates[:-1].nan_to_num(nan=-torch.inf).amax(dim)
        differs = ((high - low) > 0.1 * min(size)).flatten(1).float().mean(1)
        varies.append(bool((differs > 0.5).any()))
    axes = [str(dim) for dim, dim_varies in enumerate(varies, 1) if dim_varies]
    expected = "1" if coordinates.dim() == 3 else None
    if not axes or ",".join(axes) == expected:
        return None
    if coordinates.dim() == 3:
        return f"its places lie along axis {' and '.join(axes)}; expected axis 1, of tokens (b, n, k)"
    grids = [list(map(str, range(2, coordinates.dim()))), list(map(str, range(1, coordinates.dim() - 1)))]
    if axes in grids:
        return None
    noun = "axes" if len(axes) > 1 else "axis"
    return f"its places lie along {noun} {' and '.join(axes)}; expected {' and '.join(grids[0])}, or those before"


def token_order_description(cells: Coordinates, prefix: int, size: Sequence[int]) -> str:
    """Describe tokens that are not in reading order: their grid, and the position of the second token."""
    centres = cells[:-1].mean(-1)
    lines = [_distinct_levels(axis) for axis in centres]
    names = ("row", "column") if len(size) == 2 else ("depth", "row", "column")
    is_full_grid = prod(len(axis) for axis in lines) == centres.shape[1]
    are_distinct = len({tuple(cell) for cell in centres.round().T.tolist()}) == centres.shape[1]
    if not is_full_grid or not are_distinct or centres.shape[1] < 2:
        return "its tokens are no grid of places of the image"
    second = [float(axis[1]) for axis in centres]
    nearest = [
        min(range(len(levels)), key=lambda index: abs(levels[index] - centre))  # called at once, in this iteration
        for levels, centre in zip(lines, second, strict=True)
    ]
    position = ", ".join(f"{name} {index}" for name, index in zip(names, nearest, strict=True))
    grid = " x ".join(str(len(axis)) for axis in lines)
    return f"its tokens are a grid of {grid} in another order than reading: token {prefix + 1} lies at {position}"


def axes_description(size: Sequence[int]) -> str:
    """Return the names of the image's axes."""
    return "height and width" if len(size) == 2 else "depth, height and width"


def _distinct_levels(values: Tensor) -> list[float]:
    """Return the distinct coordinates along an axis; values closer than a quarter of the widest gap count as equal."""
    ordered = sorted(values.tolist())
    widest = max((b - a for a, b in pairwise(ordered)), default=0.0)
    levels = ordered[:1]
    for before, value in pairwise(ordered):
        if value - before > max(widest / 4, 0.25):
            levels.append(value)
    return levels
