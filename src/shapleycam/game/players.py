"""Who plays: each position by itself, or regions of positions; prefix tokens together are one more player."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from shapleycam.errors import OptionError
from shapleycam.models.layout import Layout

Regions: TypeAlias = "tuple[int, int] | list[Any] | np.ndarray | Tensor | None"


@dataclass(frozen=True)
class Players:
    """`member` (b, positions) says which of the `count` players each position belongs to."""

    member: Int[Tensor, "b positions"]
    count: int
    layout: Layout

    def positions(
        self, coalitions: Float[Tensor, "a s n"], images: Int[Tensor, " a"] | None = None
    ) -> Float[Tensor, "a s positions"]:
        """What each position shows of its player's entry; `images` are the images of the rows."""
        member = self.member if images is None else self.member[images]
        return coalitions.gather(2, member[:, None].expand(-1, coalitions.shape[1], -1))

    def totals(self, values: Float[Tensor, "b positions"]) -> Float[Tensor, "b n"]:
        """Each player's sum over its positions."""
        return values.new_zeros(len(values), self.count).scatter_add(1, self.member, values)

    def cells(self, values: Float[Tensor, "b n"]) -> Float[Tensor, "b h w"]:
        """The players' values on the grid, a region's shared evenly by its cells; without the prefix tokens'."""
        sizes = self.totals(torch.ones_like(self.member, dtype=values.dtype))
        shared = (values / sizes.clamp(min=1)).gather(1, self.member)
        return self.layout.cells(shared)

    def prefix(self, values: Float[Tensor, "b n"]) -> Float[Tensor, " b"] | None:
        """The prefix tokens' value, None where the layer has none."""
        return values[:, -1] if self.layout.prefix else None

    def centre(self, player: int, image: int = 0) -> tuple[float, float] | None:
        """The middle of a player's cells (row, column), the first cell's being (0.5, 0.5); None for one without any."""
        cells = (self.member[image, self.layout.prefix :] == player).nonzero().flatten().double()
        if not len(cells):
            return None
        width = self.layout.width
        return float((cells // width).mean() + 0.5), float((cells % width).mean() + 0.5)


def players_of(regions: Regions, layout: Layout, batch: int, device: torch.device) -> Players:
    """The players of `batch` images: the grid's cells in reading order, or the regions; prefix tokens come last.

    `regions` is None, (rows, columns) of a grid of regions, or whole numbers (h, w) or (b, h, w) that name each cell's
    region. An image with fewer regions than others of its batch has players without cells, which earn nothing.

    Raises:
        OptionError: a grid that is finer than the layer's, or labels of another size or kind.
    """
    height, width = layout.height, layout.width
    if regions is None:
        labels = torch.arange(height * width).reshape(1, height, width)
    elif isinstance(regions, tuple) and [type(side) for side in regions] == [int, int]:
        labels = _grid(*regions, height, width)
    else:
        labels = _labels(regions, height, width, batch)
    cells = torch.stack([image.flatten().unique(return_inverse=True)[1] for image in labels]).expand(batch, -1)
    count = int(cells.max()) + 1
    prefix = cells.new_full((batch, layout.prefix), count)
    return Players(torch.cat([prefix, cells], 1).to(device), count + (layout.prefix > 0), layout)


def _grid(rows: int, columns: int, height: int, width: int) -> Tensor:
    if not (1 <= rows <= height and 1 <= columns <= width):
        raise OptionError(
            f"players are a grid of {rows} x {columns} regions; expected 1 x 1 to {height} x {width}, the layer's cells"
        )
    row = torch.arange(height) * rows // height
    column = torch.arange(width) * columns // width
    return (row[:, None] * columns + column)[None]


def _labels(regions: Regions, height: int, width: int, batch: int) -> Tensor:
    try:
        labels = torch.as_tensor(regions)
    except (TypeError, ValueError, RuntimeError):
        raise OptionError(
            f"players are a {type(regions).__name__}; expected (rows, columns), or whole numbers (h, w) that name each "
            "cell's region"
        ) from None
    if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
        raise OptionError(f"players are labels of {labels.dtype}; expected whole numbers, one for each cell")
    if labels.shape not in {(height, width), (1, height, width), (batch, height, width)}:
        raise OptionError(
            f"players are labels of shape {tuple(labels.shape)}; expected the layer's cells, ({height}, {width}), or "
            f"({batch}, {height}, {width}) for all images"
        )
    return labels.cpu().reshape(-1, height, width)
