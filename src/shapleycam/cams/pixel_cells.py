"""Convert maps at the image's resolution to values of a layer's positions: sums over the pixels of each cell."""

from __future__ import annotations

from math import prod

import torch
from jaxtyping import Float
from torch import Tensor

from shapleycam.cams.bases import PositionValues
from shapleycam.game import Game
from shapleycam.precision import accurate


def values_of_cells(
    game: Game, pixels: Float[Tensor, "b *size"], notes: tuple[tuple[str, ...], ...] = ()
) -> PositionValues:
    """Return the values of the layer's positions; prefix tokens have no pixels and get 0."""
    grid = game.layout.grid
    further = pixels.dim() - 1 - len(grid)
    sums = cell_sums(pixels.sum(tuple(range(1, 1 + further))) if further > 0 else pixels, grid)
    prefix = sums.new_zeros(len(sums), game.layout.prefix)
    return PositionValues(torch.cat([prefix, sums.flatten(1)], 1), notes)


def cell_sums(pixels: Float[Tensor, "b *size"], grid: tuple[int, ...]) -> Float[Tensor, "b *grid"]:
    """Return the sum over the pixels of each cell of a grid; a pixel in two cells is divided by area.

    Examples:
        >>> import torch
        >>> from shapleycam.cams.pixel_cells import cell_sums
        >>> cell_sums(torch.tensor([[[1.0, 2.0, 4.0]]]), (1, 2))
        tensor([[[2., 5.]]])
    """
    sums = pixels
    for axis, cells in enumerate(grid, start=1):
        shares = _shares(pixels.shape[axis], cells, pixels.device).to(pixels.dtype)
        rest = sums.shape[axis + 1 :]
        rows = sums.reshape(prod(sums.shape[:axis]), sums.shape[axis], prod(rest))
        sums = (shares @ rows).reshape(*sums.shape[:axis], cells, *rest)
    return sums


def _shares(pixels: int, cells: int, device: torch.device) -> Float[Tensor, "cells pixels"]:
    """Divide a line of pixels into cells of equal width; return the share of each pixel in each cell."""
    dtype = accurate(device)
    edges = torch.arange(cells + 1, device=device, dtype=dtype) * pixels / cells
    left = torch.arange(pixels, device=device, dtype=dtype)
    lengths = torch.minimum(edges[1:, None], left + 1) - torch.maximum(edges[:-1, None], left)
    return lengths.clamp(min=0)
