"""Find elements that mix distant places of the image, for example its two halves added together.

Such an element has no place in the image: it is neither at one of the places nor in the middle between them
(docs/decisions.md, "What mixes distant places has none"). An element that mixes the places of a window has one.
"""

from __future__ import annotations

import torch
from torch import Tensor

_CELLS_APART = 2.01
"""How far apart neighbouring places that are mixed may be, in cells of the result (or `_SHARE_APART`, if more)."""
_SHARE_APART = 1 / 8
"""The same, as a share of the part of the image that the operands cover."""


def are_far_apart(gaps: Tensor, mixed: Tensor, extent: Tensor) -> Tensor:
    """Return which elements (*shape) mix places with a large gap between them.

    A sum over an axis, or over a window of it, mixes neighbouring positions: its gaps are not wider than the cells of
    the result.

    Args:
        gaps: (axes, *shape), for each element the largest gap in pixels between neighbouring places that it mixes.
        mixed: (axes, *shape), the centres that the elements would have.
        extent: (axes,), the number of pixels that the operands' centres cover.
    """
    limits = torch.stack([_cell_size(row) for row in mixed]) * _CELLS_APART
    limits = torch.where(limits > 0, torch.maximum(limits, extent * _SHARE_APART), torch.inf)
    return (gaps > limits.reshape(-1, *[1] * (gaps.dim() - 1))).any(0)


def extent_of(centres: Tensor) -> Tensor:
    """Return how many pixels the centres (axes, *shape) cover along each axis; NaN is ignored."""
    flat = centres.flatten(1)
    high, low = flat.nan_to_num(-torch.inf, posinf=-torch.inf), flat.nan_to_num(torch.inf, neginf=torch.inf)
    return (high.amax(1) - low.amin(1)).clamp(min=0)


def largest_gap(places: Tensor, decides: Tensor, axes: tuple[int, ...]) -> Tensor:
    """Return the largest gap between neighbouring places along the dimensions `axes`, which have size 1 in the result.

    Only places (axes, *shape) for which `decides` is True count.
    """
    others = [dim for dim in range(places.dim()) if dim not in axes]
    ordered = torch.where(decides, places, torch.nan).permute(*others, *axes).flatten(len(others))
    ordered = ordered.sort(-1).values  # NaN comes last
    gaps = ordered.diff(dim=-1).nan_to_num(0)
    largest = gaps.amax(-1) if gaps.shape[-1] else gaps.new_zeros(gaps.shape[:-1])
    return largest.reshape([1 if dim in axes else size for dim, size in enumerate(places.shape)])


def _cell_size(row: Tensor) -> Tensor:
    """Return the median distance in pixels between neighbouring elements with different coordinates; 0 if all agree."""
    steps = [row.diff(dim=dim).abs().flatten() for dim in range(row.dim()) if row.shape[dim] > 1]
    moved = torch.cat([step[step > 0] for step in steps]) if steps else row.new_zeros(0)  # leaves out NaN
    return moved.median() if len(moved) else row.new_zeros(())
