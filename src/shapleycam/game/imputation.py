"""ROAD's noisy linear imputation: removed pixels are filled in from their neighbours.

Twelve times the paper's weights are [1, 2, 1] x [1, 2, 1] without the centre: 2 for a direct neighbour, 1 for a
diagonal one. The system over the removed pixels is symmetric and positive definite. Conjugate gradients with a
multigrid cycle as preconditioner solve it in six or seven steps; the cycle's correction also estimates the distance to
the solution.

This is our own code, because plain conjugate gradients take 18 to 46 s instead of 0.7 s, and scipy's direct solver
takes five times as long and does not run on the GPU (docs/decisions.md).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from shapleycam.errors import ImageError
from shapleycam.images import content_seeds

_STEPS = 50
_COARSEST = 4
_RELAXATION = 3.5
"""The part of a pixel's own weight, which is 4 in `_neighbour_sum`, that a Jacobi sweep subtracts.

If a sweep subtracted all 4, it would only change the sign of an alternating error in an image of one row, and never
reduce it.
"""

Images = Float[Tensor, "b c h w"]
Field = Float[Tensor, "b 1 h w"]


@torch.no_grad()
def impute(images: Images, removed: Bool[Tensor, "b h w"], tolerance: float = 1e-3) -> Images:
    """Return images whose removed pixels each equal the weighted mean of their eight neighbours, removed ones included.

    A direct neighbour has the weight 1/6, a diagonal one 1/12. At the edge of the image, the existing neighbours share
    the weight of the missing ones. If all pixels of an image are removed, there is no solution, and all become the
    image's mean colour. The result for an image does not depend on the other images in the batch.

    Args:
        images: the images, in any units; ROAD uses normalised images.
        removed: the pixels to fill in; the others are returned unchanged.
        tolerance: how far a pixel may be from the exact solution, in the units of the images. Rounding errors are
            additional: in single precision up to 1e-4 of the image's range, if nearly all pixels are removed.

    Raises:
        ImageError: an image is not solved after 50 steps, because a pixel that is not removed is not finite.

    Source: Rong et al. 2022, "A Consistent and Efficient Evaluation Strategy for Attribution Methods".
    """
    all_removed = removed.all(2).all(1)[:, None, None, None]
    unknown = removed[:, None] & ~all_removed
    known = torch.where(all_removed, images.mean((2, 3), keepdim=True), images.where(~unknown, 0.0))
    mean = known.sum(3, keepdim=True).sum(2, keepdim=True) / (~unknown).sum((2, 3), keepdim=True)
    start = torch.where(unknown, mean, known)
    return torch.where(unknown, _solve(start, unknown.to(images.dtype), tolerance), known)


def draw_noise(images: Images, scale: float, seed: int) -> Images:
    """Return normal noise of standard deviation `scale`, seeded by each image's content and by `seed`."""
    drawn = [
        torch.randn(image.shape, generator=torch.Generator().manual_seed(image_seed), dtype=torch.float32, device="cpu")
        for image, image_seed in zip(images, content_seeds(images, seed), strict=True)
    ]
    return scale * torch.stack(drawn).to(images)


def _solve(x: Images, unknown: Field, tolerance: float) -> Images:
    """Solve by preconditioned conjugate gradients, starting from x; later steps do not change an image that is solved.

    Only residuals at unknown pixels have an effect: every correction is zero at known pixels.
    """
    levels = _levels(unknown)
    weight = _neighbour_sum(torch.ones_like(unknown))
    residual = _laplacian(x, weight)
    direction, last_product = torch.zeros_like(x), torch.ones_like(x[:, :1, :1, :1])
    for _ in range(_STEPS):
        error = _v_cycle(levels, residual)
        solved = error.abs().amax((1, 2, 3), keepdim=True) < tolerance
        if solved.all():
            return x + error
        product = _image_sum(residual * error)
        direction.mul_(torch.where(solved, 0.0, product / last_product)).add_(error)
        laplacian = _laplacian(direction, weight)
        step = torch.where(solved, 0.0, -product / _image_sum(direction * laplacian))
        x.addcmul_(step, direction)
        residual.addcmul_(step, laplacian)
        last_product = product
    raise ImageError(
        f"removed pixels are off by about {error.abs().amax():.2g} after {_STEPS} steps, and {tolerance:.2g} was "
        "expected; give images whose other pixels are finite"
    )


class _Level(NamedTuple):
    """A grid of all pixels, or of every second one of the previous level; both fields are zero at known pixels."""

    inverse_diagonal: Field
    """The reciprocal of a Jacobi sweep's divisor."""
    interpolation: Field
    """Factors that turn the sums of `_prolong` into means; these include known pixels, whose error is zero."""


def _levels(unknown: Field) -> list[_Level]:
    """Return the grids from fine to coarse; a coarse pixel is unknown if the fine pixel at its position is unknown.

    Known pixels that are not on a coarse grid still have an effect there. The leak of an unknown pixel is the weight of
    its known neighbours; that of a coarse grid is chosen such that a constant error on it has the same energy as the
    interpolated error on the fine grid.
    """
    levels, leak = [], unknown * _neighbour_sum(1 - unknown)
    while True:
        size = unknown.shape[2:]
        weight = _neighbour_sum(unknown) + leak
        inverse_diagonal = torch.where(weight > 4, unknown / (weight - _RELAXATION), 0.0)
        coarse = unknown[..., ::2, ::2]
        prolonged = _prolong(coarse, size)
        off_grid = torch.ones_like(unknown)
        off_grid[..., ::2, ::2] = 0
        interpolation = torch.where(prolonged > 0, unknown / (prolonged + leak * off_grid / 2), 0.0)
        levels.append(_Level(inverse_diagonal, interpolation))
        if max(size) <= _COARSEST:
            return levels
        leak = -coarse * _restrict(interpolation * _laplacian(interpolation * prolonged, weight))
        unknown, leak = coarse, leak.clamp(min=0)


def _v_cycle(levels: list[_Level], residual: Images) -> Images:
    """Estimate the error that causes a residual, by one V-cycle with a Jacobi sweep before and one after."""
    (inverse_diagonal, interpolation), *rest = levels
    x = residual * inverse_diagonal
    if rest:
        residual_left = _relaxation_sum(x).mul_(interpolation)
        x.addcmul_(interpolation, _prolong(_v_cycle(rest, _restrict(residual_left)), x.shape[2:]))
    else:
        for _ in range(4):
            x = _relaxation_sum(x).add_(residual).mul_(inverse_diagonal)
    return _relaxation_sum(x).add_(residual).mul_(inverse_diagonal)


def _laplacian(x: Tensor, weight: Field) -> Tensor:
    """Return `_neighbour_sum` less `weight` times each pixel.

    It is exactly zero for a constant image if `weight` is `_neighbour_sum` of ones.
    """
    return _neighbour_sum(x).addcmul_(weight, x, value=-1)


def _relaxation_sum(x: Tensor) -> Tensor:
    """Return `_neighbour_sum` less `_RELAXATION` times each pixel; after a sweep from zero it is the new residual."""
    return _neighbour_sum(x).sub_(x, alpha=_RELAXATION)


def _neighbour_sum(x: Tensor) -> Tensor:
    """Return the sum with weights [1, 2, 1] x [1, 2, 1] around each pixel; pixels beyond the edge count as zero."""
    for dim in (3, 2):
        pairs = x.new_empty(*x.shape[:dim], x.shape[dim] + 1, *x.shape[dim + 1 :])
        line, source = pairs.transpose(dim, 3), x.transpose(dim, 3)
        line[..., :1], line[..., -1:] = source[..., :1], source[..., -1:]
        torch.add(source[..., 1:], source[..., :-1], out=line[..., 1:-1])
        x = (line[..., 1:] + line[..., :-1]).transpose(dim, 3)
    return x


def _restrict(fine: Tensor) -> Tensor:
    """Return every second pixel of `_neighbour_sum`."""
    for dim in (2, 3):
        line = fine.transpose(dim, 3)
        sums = 2 * line[..., ::2]
        sums[..., : line.shape[3] // 2] += line[..., 1::2]
        sums[..., 1:] += line[..., 1:-1:2]
        fine = sums.transpose(dim, 3)
    return fine


def _prolong(coarse: Tensor, size: tuple[int, ...]) -> Tensor:
    """Return the transpose of `_restrict`: `_neighbour_sum` of the coarse pixels, placed in a fine image of zeros."""
    for dim in (3, 2):
        fine = coarse.new_empty(*coarse.shape[:dim], size[dim - 2], *coarse.shape[dim + 1 :])
        line, source = fine.transpose(dim, 3), coarse.transpose(dim, 3)
        torch.mul(source, 2, out=line[..., ::2])
        line[..., 1::2] = source[..., : line.shape[3] // 2]
        line[..., 1:-1:2] += source[..., 1:]
        coarse = fine
    return coarse


def _image_sum(x: Tensor) -> Float[Tensor, "b 1 1 1"]:
    """Return the sum over each image; rows first, so that its rounding does not depend on the size of the batch."""
    return x.sum(3).flatten(1).sum(1)[:, None, None, None]
