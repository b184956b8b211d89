"""The players of a game: single positions, or regions of positions; all prefix tokens together are one more player."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from shapleycam.errors import OptionError
from shapleycam.game.named_regions import NamedRegions
from shapleycam.models.layout import Layout

Regions: TypeAlias = "tuple[int | np.integer[Any], ...] | list[Any] | np.ndarray | Tensor | str | NamedRegions | None"
"""What a user may give as players: None for single positions, (rows, columns) of a grid of regions, labels (h, w) or
(b, h, w) of each cell's region, regions with names, or "channels".
"""
_GRID_SIDES = {2: "(rows, columns)", 3: "(depths, rows, columns)"}


@dataclass(frozen=True)
class Players:
    """The assignment of positions to players.

    Attributes:
        member: (b, positions), the index of each position's player.
        count: the number of players.
        layout: the layout of the activation.
        names: the names of the regions; empty if they have no names.
    """

    member: Int[Tensor, "b positions"]
    count: int
    layout: Layout
    names: tuple[str, ...] = ()

    @property
    def are_regions(self) -> bool:
        """Return whether players are regions of cells, and not single cells."""
        return self.count - (self.layout.prefix > 0) != self.layout.count

    @property
    def labels(self) -> Int[Tensor, "b *grid"]:
        """Return the index of each grid cell's player, without prefix tokens."""
        labels: Tensor = self.member[:, self.layout.prefix :].unflatten(1, self.layout.grid)
        return labels

    def expand(self, coalitions: Tensor, images: int) -> Tensor:
        """Return coalitions (a, s, n) for this number of images; coalitions (s, n) are the same for all images.

        Raises:
            OptionError: they have another size or type.
        """
        expected = f"booleans (s, {self.count}) or ({images}, s, {self.count})"
        if not isinstance(coalitions, torch.Tensor) or coalitions.dtype != torch.bool:
            kind = coalitions.dtype if isinstance(coalitions, torch.Tensor) else type(coalitions).__name__
            raise OptionError(f"coalitions are {kind}; expected {expected}, True for a player that takes part")
        expanded = coalitions.expand(images, *coalitions.shape) if coalitions.dim() == 2 else coalitions
        if expanded.dim() != 3 or (len(expanded), expanded.shape[2]) != (images, self.count):
            raise OptionError(f"coalitions have shape {tuple(coalitions.shape)}; expected {expected}")
        return expanded

    def presence(
        self, coalitions: Float[Tensor, "a s n"], images: Int[Tensor, " a"] | None = None
    ) -> Float[Tensor, "a s positions"]:
        """Return for each position its player's entry in each coalition; `images` are the indices of the a images."""
        member = self.member if images is None else self.member[images]
        return coalitions.gather(2, member[:, None].expand(-1, coalitions.shape[1], -1))

    def totals(self, values: Float[Tensor, "b positions"]) -> Float[Tensor, "b n"]:
        """Return the sum of values over each player's positions."""
        return values.new_zeros(len(values), self.count).scatter_add(1, self.member, values)

    def cells(self, values: Float[Tensor, "b n"]) -> Float[Tensor, "b *grid"]:
        """Return the players' values on the grid; a region's value is divided evenly among its cells."""
        sizes = self.totals(torch.ones_like(self.member, dtype=values.dtype))
        shared = (values / sizes.clamp(min=1)).gather(1, self.member)
        return self.layout.cells(shared)

    def prefix(self, values: Float[Tensor, "b n"]) -> Float[Tensor, " b"] | None:
        """Return the value of the prefix tokens; None if the layer has none."""
        return values[:, -1] if self.layout.prefix else None

    def centre(self, player: int, image: int = 0) -> tuple[float, ...] | None:
        """Return the centre of a player's cells, (row, column) or in 3-D (depth, row, column); None without cells.

        The centre of the first cell is (0.5, 0.5).
        """
        belongs = self.member[image, self.layout.prefix :] == player
        cells = belongs.unflatten(0, self.layout.grid).nonzero().double()
        return tuple((cells.mean(0) + 0.5).tolist()) if len(cells) else None


def make_players(regions: Regions, layout: Layout, batch: int, device: torch.device) -> Players:
    """Return the players of `batch` images: the grid's cells in reading order, or the regions; prefix tokens come last.

    An image with fewer regions than others of its batch has players without cells, whose values are zero.

    Args:
        regions: None, (rows, columns) of a grid of regions, or integers (h, w) or (b, h, w) that label each cell's
            region; in 3-D with the depth before the rows.
        layout: the layout of the activation.
        batch: the number of images.
        device: the device of the result.

    Raises:
        OptionError: a grid that is finer than the layer's, or labels of another size or kind.
    """
    if isinstance(regions, NamedRegions):
        return _named_players(regions, layout, batch, device)
    if regions is None:
        labels = torch.arange(layout.count, device="cpu").reshape(1, *layout.grid)
    elif isinstance(regions, tuple) and len(regions) == len(layout.grid) and all(map(_is_whole, regions)):
        labels = _label_grid(tuple(map(int, regions)), layout.grid)
    else:
        labels = _check_labels(regions, layout.grid, batch)
    cells = torch.stack([image.flatten().unique(return_inverse=True)[1] for image in labels]).expand(batch, -1)
    count = int(cells.max()) + 1
    prefix = cells.new_full((batch, layout.prefix), count)
    return Players(torch.cat([prefix, cells], 1).to(device), count + (layout.prefix > 0), layout)


def _named_players(regions: NamedRegions, layout: Layout, batch: int, device: torch.device) -> Players:
    """Return the players of regions with names, which belong to a single image."""
    if batch != 1:
        raise OptionError(
            f"players are the named regions of one image, and {batch} images were given; expected one image at a time"
        )
    if tuple(regions.labels.shape) != layout.grid:
        raise OptionError(
            f"players are regions of an image of {_times(tuple(regions.labels.shape))} pixels, and the layer has "
            f"{_times(layout.grid)} cells; expected layer 'input', and regions of the size of the network's input"
        )
    players = make_players(regions.labels, layout, batch, device)
    names = tuple(regions.names[label] for label in regions.labels.unique().tolist())
    return replace(players, names=names)


def _label_grid(regions: tuple[int, ...], grid: tuple[int, ...]) -> Tensor:
    """Return labels (1, *grid) of a grid of regions; the sides of any two regions differ by one cell at most."""
    if not all(1 <= count <= side for count, side in zip(regions, grid, strict=True)):
        ones = " x ".join("1" for _ in grid)
        raise OptionError(
            f"players are a grid of {_times(regions)} regions; expected {ones} to {_times(grid)}, the layer's cells"
        )
    labels = torch.zeros(1, dtype=torch.long, device="cpu")
    for count, side in zip(regions, grid, strict=True):
        labels = labels[..., None] * count + torch.arange(side, device="cpu") * count // side
    return labels


def _check_labels(regions: Regions, grid: tuple[int, ...], batch: int) -> Tensor:
    """Return the user's labels as a tensor (1 or b, *grid) of integers."""
    sides = ", ".join("dhw"[-len(grid) :])
    try:
        labels = torch.as_tensor(_plain_array(regions), device="cpu")
    except (TypeError, ValueError, RuntimeError):
        given = repr(regions) if isinstance(regions, str) else f"a {type(regions).__name__}"
        raise OptionError(
            f"players are {given}; expected {_GRID_SIDES[len(grid)]}, or whole numbers ({sides}) that name each cell's "
            "region, or of a game 'channels'"
        ) from None
    if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
        raise OptionError(f"players are labels of {labels.dtype}; expected whole numbers, one for each cell")
    if labels.shape not in {grid, (1, *grid), (batch, *grid)}:
        cells = ", ".join(map(str, grid))
        hint = "" if labels.dim() > 1 else f"; for a grid of regions give a tuple {_GRID_SIDES[len(grid)]}"
        raise OptionError(
            f"players are labels of shape {tuple(labels.shape)}; expected the layer's cells, ({cells}), or "
            f"({batch}, {cells}) for all images{hint}"
        )
    return labels.cpu().reshape(-1, *grid)


def _is_whole(side: Any) -> bool:
    """Return whether it is an integer of Python or NumPy; booleans are not."""
    return isinstance(side, (int, np.integer)) and not isinstance(side, bool)


def _plain_array(regions: Regions) -> Regions:
    """Return an array in a form that PyTorch accepts: a copy in C order and native byte order."""
    if isinstance(regions, np.ndarray) and regions.dtype.kind in "iu":
        return np.array(regions, regions.dtype.newbyteorder("="), order="C")
    return regions


def _times(sides: tuple[int, ...]) -> str:
    return " x ".join(map(str, sides))
