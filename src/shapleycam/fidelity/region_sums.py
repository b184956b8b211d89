"""Sums of a map over regions of the image: a cell's value belongs to the pixels that the cell covers."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from shapleycam.errors import OptionError
from shapleycam.game.players import Players
from shapleycam.precision import accurate


def region_sums(values: Float[Tensor, "b *grid"], regions: Players) -> Float[Tensor, "b n"]:
    """Return the sum of each image's values over each of its regions.

    A cell's value is divided evenly among the pixels of its part of the image, so that the sum over all regions is that
    over all cells, and a cell in several regions counts in each by its area. That is not how a heatmap is drawn: there
    values between the middles of cells are interpolated, which would mix those of neighbouring regions.

    Args:
        values: signed, one for each cell of a layer's grid.
        regions: the players of a game of the same images at layer "input".

    Raises:
        OptionError: a grid of another number of dimensions than the image.

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
    """Return the share of each cell of a row that lies in each pixel; a cell's shares sum to 1."""
    cell_ends = torch.arange(cells + 1, dtype=torch.float64, device="cpu") / cells
    pixel_ends = torch.arange(pixels + 1, dtype=torch.float64, device="cpu") / pixels
    ends = torch.minimum(cell_ends[1:, None], pixel_ends[1:])
    starts = torch.maximum(cell_ends[:-1, None], pixel_ends[:-1])
    return (ends - starts).clamp(min=0) * cells
