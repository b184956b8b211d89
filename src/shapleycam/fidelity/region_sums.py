"""`region_sums`: sums a layer's values over regions of the image."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from shapleycam.errors import OptionError
from shapleycam.game.players import Players
from shapleycam.precision import accurate


def region_sums(values: Float[Tensor, "b *grid"], regions: Players) -> Float[Tensor, "b n"]:
    """Return the sum of each image's values over each of its regions.

    A cell's value is divided evenly among the pixels that the cell covers. So the sum over all regions equals the sum
    over all cells, and a cell that lies in several regions is divided between them by area. A heatmap is drawn in
    another way: its interpolation between the centres of cells would mix the values of neighbouring regions.

    Args:
        values: signed values, one for each cell of a layer's grid.
        regions: the players of a game for the same images at layer "input".

    Raises:
        OptionError: the layer's grid and the image have different numbers of dimensions.

    Examples:
        >>> import torch
        >>> from shapleycam.fidelity.region_sums import region_sums
        >>> from shapleycam.game.players import make_players
        >>> from shapleycam.models.layout import Layout
        >>> halves = make_players((1, 2), Layout("NCHW", (6, 6)), 1, torch.device("cpu"))
        >>> sums = region_sums(torch.tensor([[[1.0, 4.0, 2.0]]]), halves)  # the middle cell is in both halves
        >>> sums.round(decimals=3)
        tensor([[3., 4.]], dtype=torch.float64)
    """
    size = regions.layout.grid
    if values.dim() - 1 != len(size):
        raise OptionError(
            f"the layer's grid has {values.dim() - 1} dimensions and the image {len(size)}; expected as many, so that "
            "a cell has a place in the image: choose another layer"
        )
    pixels = values.to(accurate(values.device))
    for axis, (cells, new) in enumerate(zip(values.shape[1:], size, strict=True), start=1):
        shares = _shares(cells, new).to(pixels)
        pixels = torch.tensordot(pixels, shares, dims=([axis], [0])).movedim(-1, axis)
    return regions.totals(pixels.flatten(1))


def _shares(cells: int, pixels: int) -> Float[Tensor, "cells pixels"]:
    """Return, along one axis, the fraction of each cell that lies in each pixel; a cell's fractions sum to 1."""
    cell_ends = torch.arange(cells + 1, dtype=torch.float64, device="cpu") / cells
    pixel_ends = torch.arange(pixels + 1, dtype=torch.float64, device="cpu") / pixels
    ends = torch.minimum(cell_ends[1:, None], pixel_ends[1:])
    starts = torch.maximum(cell_ends[:-1, None], pixel_ends[:-1])
    return (ends - starts).clamp(min=0) * cells
