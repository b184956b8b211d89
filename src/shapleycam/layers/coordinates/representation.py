"""Coordinates: from which place of the image each element of a tensor is computed, and how coordinates are combined.

The coordinates of a tensor of shape (...) are a tensor (axes + 1, ...). Its first rows are the centre, in pixels along
each axis of the image. The last row is the spread: how many pixels around the centre were mixed into the element.

- An element that does not depend on the image (a class token at the start, padding) has a centre and a spread of NaN.
- If an element depends on the image by an operation without a rule, its coordinates are lost: its centre is NaN, and
  its spread is infinite.

The centre and spread are those of the receptive field, with one exception: when attention or token mixing is added to a
residual connection, the residual's coordinates are kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from shapleycam.layers.coordinates.distant_places import are_far_apart, extent_of, largest_gap

Coordinates: TypeAlias = Tensor
_SAME_CENTRE = 0.01
"""Maximum distance, in pixels, of two centres that count as equal."""
_SAME_SPREAD = 0.5
"""Maximum difference, in pixels, of the spreads of two elements that count as equally local."""


def constant_coordinates(shape: Sequence[int], axes: int, device: torch.device) -> Coordinates:
    """Return the coordinates of a constant of this shape."""
    return torch.full((axes + 1, *[1] * len(shape)), torch.nan, device=device).expand(-1, *shape)


def lost_coordinates(shape: Sequence[int], axes: int, device: torch.device) -> Coordinates:
    """Return lost coordinates for a tensor of this shape."""
    coordinates = torch.full((axes + 1, *[1] * len(shape)), torch.nan, device=device)
    coordinates[-1] = torch.inf
    return coordinates.expand(-1, *shape)


def broadcast(coordinates: Coordinates, shape: Sequence[int]) -> Coordinates:
    """Return the coordinates of an operand, broadcast to the shape of the result."""
    missing = len(shape) + 1 - coordinates.dim()
    return coordinates.reshape(len(coordinates), *[1] * missing, *coordinates.shape[1:]).expand(-1, *shape)


def collapse(coordinates: Coordinates) -> Coordinates:
    """Return coordinates with size 1 along the dimensions along which they were broadcast."""
    for dim in range(1, coordinates.dim()):
        if coordinates.stride(dim) == 0 and coordinates.shape[dim] > 1:
            coordinates = coordinates.narrow(dim, 0, 1)
    return coordinates


def combine(first: Coordinates, second: Coordinates) -> Coordinates:
    """Return the coordinates of an elementwise function of two operands.

    The coordinates of the more local operand are kept, so that a residual connection survives attention and token
    mixing. If both are equally local and have different centres, the result is between them, unless they are far apart.
    """
    shape = torch.broadcast_shapes(first.shape[1:], second.shape[1:])
    if first.data_ptr() == second.data_ptr() and first.stride() == second.stride():
        return first
    first, second = collapse(first), collapse(second)
    first_spread, second_spread = _spread(first), _spread(second)
    combined = torch.where(first_spread <= second_spread, first, second)
    without_centre = first_spread.isinf() & second_spread.isinf()
    if bool(without_centre.any()):  # lost if either is lost
        combined[-1] = torch.where(without_centre, torch.fmax(first[-1], second[-1]), combined[-1])
    distances = (first[:-1] - second[:-1]).abs()
    distance = distances.sum(0)
    is_mixed = ((first_spread - second_spread).abs() <= _SAME_SPREAD) & (distance > _SAME_CENTRE)
    if bool(is_mixed.any()):
        centres, spread = (first[:-1] + second[:-1]) / 2, torch.maximum(first_spread, second_spread) + distance / 2
        mixed = torch.cat([centres, spread[None]])
        extent = torch.maximum(extent_of(first[:-1]), extent_of(second[:-1]))
        mixed = _without_distant(mixed, are_far_apart(distances, centres, extent))
        combined = torch.where(is_mixed, mixed, combined)
    return broadcast(combined, shape)


def reduce(coordinates: Coordinates, dims: Sequence[int], *, keepdim: bool = True) -> Coordinates:
    """Return the coordinates after a sum, mean, maximum or weighted sum over dimensions of the tensor.

    Only the most local elements count. The centre is the mean of their centres, and the spread grows by the distance
    between them. If there are wide gaps between their places, the coordinates are lost.
    """
    count = coordinates.dim() - 1
    axes = tuple(sorted({dim % count + 1 for dim in dims}))
    if not axes:
        return coordinates
    shape = [1 if dim in axes else size for dim, size in enumerate(coordinates.shape)][1:]
    reduced = _reduce_collapsed(collapse(coordinates), axes).expand(-1, *shape)
    return reduced if keepdim else reduced.squeeze(axes)


def combine_product(rows: Coordinates, columns: Coordinates, left: Coordinates) -> Coordinates:
    """Return the coordinates of a matrix product from those of the left operand's rows and the right one's columns.

    `rows` are the reduction of `left`, the coordinates of the left operand. The rows are kept if they have different
    centres and the reduction mixed none of them, since the rows of attention are its queries. Otherwise the more local
    of the two is kept.
    """
    row_spread, column_spread = _spread(rows), _spread(columns)
    is_unmixed = row_spread <= _spread(left).amin(-1, keepdim=True) + _SAME_SPREAD
    centres = rows[:-1]
    high, low = centres.nan_to_num(-torch.inf).amax(-2, keepdim=True), centres.nan_to_num(torch.inf)
    are_several = ((high - low.amin(-2, keepdim=True)) > _SAME_CENTRE).any(0)
    rows_decide = (are_several & is_unmixed & row_spread.isfinite()) | (row_spread <= column_spread)
    return torch.where(rows_decide, rows, columns)


def _reduce_collapsed(coordinates: Coordinates, axes: tuple[int, ...]) -> Coordinates:
    if all(coordinates.shape[axis] == 1 for axis in axes):  # all elements have the same coordinates
        return coordinates
    lowest, highest = coordinates.amin(axes, keepdim=True), coordinates.amax(axes, keepdim=True)
    if bool(((highest - lowest)[:-1] <= _SAME_CENTRE).all()):  # False if one is NaN
        return lowest
    spread = _spread(coordinates)[None]
    least_spread = spread.amin(axes, keepdim=True)
    decides = (spread <= least_spread + _SAME_SPREAD) & spread.isfinite()
    centres = coordinates[:-1]
    number = decides.sum(axes, keepdim=True)
    middle = torch.where(decides, centres, 0).sum(axes, keepdim=True) / number
    high = torch.where(decides, centres, -torch.inf).amax(axes, keepdim=True)
    low = torch.where(decides, centres, torch.inf).amin(axes, keepdim=True)
    reduced_spread = least_spread + ((high - low) / 2).sum(0, keepdim=True)
    is_lost = (coordinates[-1:] == torch.inf).float().amax(axes, keepdim=True) > 0
    without_centre = torch.where(is_lost, torch.inf, torch.nan)
    reduced = torch.cat([middle, torch.where(number > 0, reduced_spread, without_centre)])
    gaps = largest_gap(centres, decides, axes)
    return _without_distant(reduced, are_far_apart(gaps, middle, extent_of(centres)))


def _without_distant(coordinates: Coordinates, is_distant: Tensor) -> Coordinates:
    """Return the coordinates, lost for elements that mix distant places."""
    if not bool(is_distant.any()):
        return coordinates
    lost = lost_coordinates(is_distant.shape, len(coordinates) - 1, coordinates.device)
    return torch.where(is_distant, lost, coordinates)


def _spread(coordinates: Coordinates) -> Tensor:
    """Return the spread; infinite for elements without a centre."""
    return torch.where(coordinates[0].isnan(), torch.inf, coordinates[-1])
