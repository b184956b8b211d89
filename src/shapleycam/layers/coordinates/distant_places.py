"""Tells elements that mix places far apart in the image, as both halves of it laid over each other, from a window's.

What mixes two distant places lies at neither of them, nor in the middle (docs/decisions.md, "What mixes distant places
has none").
"""

from __future__ import annotations

import torch
from torch import Tensor

_CELLS_APART = 2.01
"""How far apart neighbouring places that are mixed may lie, in cells of the result, ..."""
_SHARE_APART = 1 / 8
"""... or as a share of what the operands cover of the image, whichever is more."""


def are_far_apart(gaps: Tensor, mixed: Tensor, extent: Tensor) -> Tensor:
    """Return which elements (*shape) mix places that are too far apart to be one.

    A sum over all positions of an axis, or over a window of it, has no gaps between them that are wider than the
    result's own cells.

    Args:
        gaps: (axes, *shape) in pixels, the largest between neighbours among the places that an element mixes.
        mixed: (axes, *shape), the centres that the elements would have.
        extent: (axes,), how many pixels the operands' centres cover.
    """
    limits = torch.stack([_cell_size(row) for row in mixed]) * _CELLS_APART
    limits = torch.where(limits > 0, torch.maximum(limits, extent * _SHARE_APART), torch.inf)
    return (gaps > limits.reshape(-1, *[1] * (gaps.dim() - 1))).any(0)


def extent_of(centres: Tensor) -> Tensor:
    """Return how many pixels centres (axes, *shape) cover along each axis, without those that are NaN."""
    flat = centres.flatten(1)
    high, low = flat.nan_to_num(-torch.inf, posinf=-torch.inf), flat.nan_to_num(torch.inf, neginf=torch.inf)
    return (high.amax(1) - low.amin(1)).clamp(min=0)


def largest_gap(places: Tensor, decides: Tensor, axes: tuple[int, ...]) -> Tensor:
    """Return the largest gap between neighbours among the places (axes, *shape) that decide, over dimensions.

    The dimensions `axes` have size 1 in the result.
    """
    others = [dim for dim in range(places.dim()) if dim not in axes]
    ordered = torch.where(decides, places, torch.nan).permute(*others, *axes).flatten(len(others))
    ordered = ordered.sort(-1).values  # NaN comes last
    gaps = ordered.diff(dim=-1).nan_to_num(0)
    largest = gaps.amax(-1) if gaps.shape[-1] else gaps.new_zeros(gaps.shape[:-1])
    return largest.reshape([1 if dim in axes else size for dim, size in enumerate(places.shape)])


def _cell_size(row: Tensor) -> Tensor:
    """Return the distance in pixels between neighbouring elements along one axis of the image; 0 where all are one."""
    steps = [row.diff(dim=dim).abs().flatten() for dim in range(row.dim()) if row.shape[dim] > 1]
    moved = torch.cat([step[step > 0] for step in steps]) if steps else row.new_zeros(0)  # NaN is not
    return moved.median() if len(moved) else row.new_zeros(())
