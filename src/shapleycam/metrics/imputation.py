"""Removed pixels filled in from their neighbours: ROAD's linear imputation, without its noise.

Twelve times the paper's weights are [1, 2, 1] x [1, 2, 1] without the centre: 2 for a direct neighbour, 1 for a
diagonal one. The system over the removed pixels is symmetric and positive definite. Conjugate gradients solve it in six
or seven steps, since a multigrid cycle preconditions each; the cycle's correction also tells how far the solution is.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from shapleycam.errors import ImageError

_STEPS = 50
_COARSEST = 4
_RELAXED = 3.5
"""What of a pixel's own weight, 4 in `_spread`, a Jacobi sweep leaves out.

With all 4 left out a sweep only turns the sign of the alternating error in an image of one row, and never ends it.
"""

Images = Float[Tensor, "b c h w"]
Field = Float[Tensor, "b 1 h w"]


@torch.no_grad()
def imputed(images: Images, removed: Bool[Tensor, "b h w"], tolerance: float = 1e-3) -> Images:
    """Images whose removed pixels each equal the weighted mean of their eight neighbours, removed ones included.

    A direct neighbour weighs 1/6, a diagonal one 1/12; beyond the edge there are none, and the others share their
    weight. An image of which everything is removed has no solution, and becomes its mean colour. The result for an
    image does not depend on the others in the batch.

    Args:
        images: in any units; ROAD's are normalised.
        removed: which pixels to fill in; the others are returned as they are.
        tolerance: how far a pixel may be from the exact solution, in the units of the images. Rounding comes on top: in
            single precision up to 1e-4 of the range of the image, where nearly all is removed.

    Raises:
        ImageError: an image is not solved after 50 steps, as a pixel that is kept is not finite.

    Source: Rong et al. 2022, "A Consistent and Efficient Evaluation Strategy for Attribution Methods".
    """
    everything = removed.all(2).all(1)[:, None, None, None]
    unknown = removed[:, None] & ~everything
    known = torch.where(everything, images.mean((2, 3), keepdim=True), images.where(~unknown, 0.0))
    mean = known.sum(3, keepdim=True).sum(2, keepdim=True) / (~unknown).sum((2, 3), keepdim=True)
    start = torch.where(unknown, mean, known)
    return torch.where(unknown, _solved(start, unknown.to(images.dtype), tolerance), known)


def _solved(x: Images, unknown: Field, tolerance: float) -> Images:
    """Preconditioned conjugate gradients from x; an image that is solved stays as it is.

    Residuals count at unknown pixels only: every correction is zero at the others.
    """
    levels = _levels(unknown)
    weight = _spread(torch.ones_like(unknown))
    residual = _pull(x, weight)
    direction, before = torch.zeros_like(x), torch.ones_like(x[:, :1, :1, :1])
    for _ in range(_STEPS):
        error = _cycle(levels, residual)
        solved = error.abs().amax((1, 2, 3), keepdim=True) < tolerance
        if solved.all():
            return x + error
        now = _total(residual * error)
        direction.mul_(torch.where(solved, 0.0, now / before)).add_(error)
        pull = _pull(direction, weight)
        step = torch.where(solved, 0.0, -now / _total(direction * pull))
        x.addcmul_(step, direction)
        residual.addcmul_(step, pull)
        before = now
    raise ImageError(
        f"removed pixels are off by about {error.abs().amax():.2g} after {_STEPS} steps, and {tolerance:.2g} was "
        "expected; give images whose other pixels are finite"
    )


class _Level(NamedTuple):
    """The pixels, or every second one of the level before; both fields are zero at known pixels."""

    inverse: Field
    """What a Jacobi sweep divides by, as a factor."""
    lift: Field
    """Makes means of `_finer`'s sums, with the known pixels, whose error is zero, among what is averaged."""


def _levels(unknown: Field) -> list[_Level]:
    """From fine to coarse; a coarse pixel is unknown where the fine pixel at its place is.

    Known pixels that a coarse grid has no place for count all the same: the leak, the weight that ties an unknown pixel
    to known ones, is handed down such that an error constant on the coarse grid costs what it does on the fine one.
    """
    levels, leak = [], unknown * _spread(1 - unknown)
    while True:
        size = unknown.shape[2:]
        weight = _spread(unknown) + leak
        inverse = torch.where(weight > 4, unknown / (weight - _RELAXED), 0.0)
        coarse = unknown[..., ::2, ::2]
        reach = _finer(coarse, size)
        between = torch.ones_like(unknown)
        between[..., ::2, ::2] = 0
        lift = torch.where(reach > 0, unknown / (reach + leak * between / 2), 0.0)
        levels.append(_Level(inverse, lift))
        if max(size) <= _COARSEST:
            return levels
        leak = -coarse * _coarser(lift * _pull(lift * reach, weight))
        unknown, leak = coarse, leak.clamp(min=0)


def _cycle(levels: list[_Level], residual: Images) -> Images:
    """The error that a residual comes from, about: one V-cycle, with a Jacobi sweep before and one after."""
    (inverse, lift), *rest = levels
    x = residual * inverse
    if rest:
        left = _around(x).mul_(lift)
        x.addcmul_(lift, _finer(_cycle(rest, _coarser(left)), x.shape[2:]))
    else:
        for _ in range(4):
            x = _around(x).add_(residual).mul_(inverse)
    return _around(x).add_(residual).mul_(inverse)


def _pull(x: Tensor, weight: Field) -> Tensor:
    """How far each pixel is below its neighbours, times their weights; exactly zero for a constant image."""
    return _spread(x).addcmul_(weight, x, value=-1)


def _around(x: Tensor) -> Tensor:
    """What a Jacobi sweep takes from the pixels as they are; after a sweep from zero, the residual that is left."""
    return _spread(x).sub_(x, alpha=_RELAXED)


def _spread(x: Tensor) -> Tensor:
    """[1, 2, 1] x [1, 2, 1] around each pixel, with nothing beyond the edge."""
    for dim in (3, 2):
        pairs = x.new_empty(*x.shape[:dim], x.shape[dim] + 1, *x.shape[dim + 1 :])
        line, given = pairs.transpose(dim, 3), x.transpose(dim, 3)
        line[..., :1], line[..., -1:] = given[..., :1], given[..., -1:]
        torch.add(given[..., 1:], given[..., :-1], out=line[..., 1:-1])
        x = (line[..., 1:] + line[..., :-1]).transpose(dim, 3)
    return x


def _coarser(fine: Tensor) -> Tensor:
    """Every second pixel of `_spread`."""
    for dim in (2, 3):
        line = fine.transpose(dim, 3)
        sums = 2 * line[..., ::2]
        sums[..., : line.shape[3] // 2] += line[..., 1::2]
        sums[..., 1:] += line[..., 1:-1:2]
        fine = sums.transpose(dim, 3)
    return fine


def _finer(coarse: Tensor, size: tuple[int, ...]) -> Tensor:
    """The transpose of `_coarser`: `_spread` of the coarse pixels, each at its place in a fine image of zeros."""
    for dim in (3, 2):
        fine = coarse.new_empty(*coarse.shape[:dim], size[dim - 2], *coarse.shape[dim + 1 :])
        line, given = fine.transpose(dim, 3), coarse.transpose(dim, 3)
        torch.mul(given, 2, out=line[..., ::2])
        line[..., 1::2] = given[..., : line.shape[3] // 2]
        line[..., 1:-1:2] += given[..., 1:]
        coarse = fine
    return coarse


def _total(x: Tensor) -> Float[Tensor, "b 1 1 1"]:
    """The sum over each image; row by row first, so that its rounding does not depend on the size of the batch."""
    return x.sum(3).flatten(1).sum(1)[:, None, None, None]
