"""Places: for each element of a tensor, the place of the image that it stems from, and how they are combined.

Places of a tensor of shape (...) are a tensor (axes + 1, ...): a coordinate in pixels for each axis of the image, then
the spread, which says how many pixels around that place were mixed into it. An element that does not depend on the
image (a class token at its start, padding) has the coordinates NaN and the spread NaN; one that depends on the image by
an operation whose effect is not known has the coordinates NaN and an infinite spread: its place is lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import torch
from torch import Tensor

Places: TypeAlias = Tensor
_SAME = 0.01
"""Pixels within which two coordinates are one."""
_ALIKE = 0.5
"""Pixels of spread within which two elements are equally local."""


def no_places(shape: Sequence[int], axes: int, device: torch.device, *, lost: bool = False) -> Places:
    """Return the places of a constant of this shape, or of something whose places are lost."""
    places = torch.full((axes + 1, *[1] * len(shape)), torch.nan, device=device)
    if lost:
        places[-1] = torch.inf
    return places.expand(-1, *shape)


def expanded(places: Places, shape: Sequence[int]) -> Places:
    """Broadcast the places of one operand to the shape of the result."""
    missing = len(shape) + 1 - places.dim()
    return places.reshape(len(places), *[1] * missing, *places.shape[1:]).expand(-1, *shape)


def compact(places: Places) -> Places:
    """Return places with size 1 along the dimensions of the tensor along which they were expanded."""
    for dim in range(1, places.dim()):
        if places.stride(dim) == 0 and places.shape[dim] > 1:
            places = places.narrow(dim, 0, 1)
    return places


def merge(first: Places, second: Places) -> Places:
    """Return the places of an elementwise function of two operands.

    The more local one keeps its place: so a residual connection survives attention and token mixing. Of two that are
    equally local and of different places the result lies between them.
    """
    shape = torch.broadcast_shapes(first.shape[1:], second.shape[1:])
    if first.data_ptr() == second.data_ptr() and first.stride() == second.stride():
        return first
    first, second = compact(first), compact(second)
    one, other = _locality(first), _locality(second)
    merged = torch.where(one <= other, first, second)
    constant = one.isinf() & other.isinf()
    if bool(constant.any()):  # lost, if either is
        merged[-1] = torch.where(constant, torch.fmax(first[-1], second[-1]), merged[-1])
    apart = (first[:-1] - second[:-1]).abs().sum(0)
    mixed = ((one - other).abs() <= _ALIKE) & (apart > _SAME)
    if bool(mixed.any()):
        between = torch.cat([(first[:-1] + second[:-1]) / 2, (torch.maximum(one, other) + apart / 2)[None]])
        merged = torch.where(mixed, between, merged)
    return expanded(merged, shape)


def reduce(places: Places, dims: Sequence[int], *, keepdim: bool = True) -> Places:
    """Return the places after a sum, mean or maximum over dimensions of the tensor, or any weighted sum over them.

    Of elements that are not equally local the most local decide; the place is the middle of theirs, and the spread
    grows by how far they lie apart.
    """
    count = places.dim() - 1
    along = tuple(sorted({dim % count + 1 for dim in dims}))
    if not along:
        return places
    shape = [1 if dim in along else size for dim, size in enumerate(places.shape)][1:]
    reduced = _reduced(compact(places), along).expand(-1, *shape)
    return reduced if keepdim else reduced.squeeze(along)


def _reduced(places: Places, along: tuple[int, ...]) -> Places:
    lowest, highest = places.amin(along, keepdim=True), places.amax(along, keepdim=True)
    if bool(((highest - lowest)[:-1] <= _SAME).all()):  # false where any is NaN
        return lowest
    locality = _locality(places)[None]
    best = locality.amin(along, keepdim=True)
    deciding = (locality <= best + _ALIKE) & locality.isfinite()
    coordinates = places[:-1]
    number = deciding.sum(along, keepdim=True)
    middle = torch.where(deciding, coordinates, 0).sum(along, keepdim=True) / number
    high = torch.where(deciding, coordinates, -torch.inf).amax(along, keepdim=True)
    low = torch.where(deciding, coordinates, torch.inf).amin(along, keepdim=True)
    spread = best + ((high - low) / 2).sum(0, keepdim=True)
    lost = (places[-1:] == torch.inf).float().amax(along, keepdim=True) > 0
    nothing = torch.where(lost, torch.inf, torch.nan)
    return torch.cat([middle, torch.where(number > 0, spread, nothing)])


def query_first(rows: Places, columns: Places, before: Places) -> Places:
    """Return the places of a matrix product from those of the left operand's rows and the right operand's columns.

    The rows decide wherever they are of several places and their sum mixes none (`before` are those of the left
    operand, of which `rows` are the reduction): the rows of attention are its queries. Elsewhere the more local one
    decides.
    """
    one, other = _locality(rows), _locality(columns)
    unmixed = one <= _locality(before).amin(-1, keepdim=True) + _ALIKE
    coordinates = rows[:-1]
    high, low = coordinates.nan_to_num(-torch.inf).amax(-2, keepdim=True), coordinates.nan_to_num(torch.inf)
    several = ((high - low.amin(-2, keepdim=True)) > _SAME).any(0)
    return torch.where((several & unmixed & one.isfinite()) | (one <= other), rows, columns)


def _locality(places: Places) -> Tensor:
    """The spread, infinite where there is no place."""
    return torch.where(places[0].isnan(), torch.inf, places[-1])
