"""The shortcut for heads that look at a window of positions once: coalitions are sums of entries of a table.

What a window of k x k positions becomes depends on which of them are present: 2^(k·k) contents. A map in which the
present positions form a pattern of period k shows one of these contents to each window, so that as many maps fill the
table, for all windows at once.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from itertools import product
from math import prod
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import embedding_bag

from shapleycam.errors import ReplayError
from shapleycam.game.contents import Contents
from shapleycam.game.grad_modes import with_gradients
from shapleycam.game.head_halves import differentiate_at_mean, run_from_mean, run_to_mean
from shapleycam.game.head_runner import TENSORS_AT_ONCE, HeadRunner, Images, LargestTensor, Presence
from shapleycam.game.window import Window
from shapleycam.tracing import Trace

MOST_CELLS = 9
"""Positions of a window at most: 512 contents of it."""
_MOST_BYTES = 2**29
"""Bytes that the tables of all images may take together."""
_MAPS_AT_ONCE = 32


class WindowedRunner(HeadRunner):
    """Fills a table of what each window becomes by its contents; the mean of a coalition is a mean of its entries."""

    def __init__(self, trace: Trace, contents: Contents, window: Window) -> None:
        self._trace, self._contents, self._window = trace, contents, window
        self._activation, layout = contents.activation, contents.layout
        patterns = _patterns(layout.grid, window.sides).to(self._activation.device)
        self._positions = _positions_by_bit(layout.grid, window).to(self._activation.device)
        self._tables, self._feature_shapes = [], set[tuple[int, ...]]()
        for image in range(len(self._activation)):
            self._tables.append(self._table(patterns, image))
        if len(self._feature_shapes) != 1:
            raise ReplayError("the head averages features of several shapes; expected one, as when it was recorded")
        self._check_rows(self._tables[0][:3])

    @cached_property
    def bytes_per_coalition(self) -> int:
        table = self._tables[0]
        with LargestTensor() as largest:
            self._run_from(table[:1], 0)
        indices = 8 * self._positions.numel()
        return TENSORS_AT_ONCE * max(int(largest.bytes), table.shape[1] * table.element_size(), indices)

    def outputs(self, presence: Presence, images: Images) -> Any:
        rows = [self._run(each.bool(), image) for each, image in zip(presence, images.tolist(), strict=True)]
        return torch.cat(rows)

    @property
    def positions(self) -> Int[Tensor, "windows bits"]:
        """Return the position that each bit of a window's contents stands for; their number, for one outside."""
        return self._positions

    def table(self, image: int) -> Float[Tensor, "windows contents features"]:
        """Return what each window of an image becomes by its contents; the head takes the mean over the windows."""
        table: Tensor = self._tables[image].unflatten(0, (len(self._positions), -1))
        return table

    def differentiate(
        self, utilities_of: Callable[[Any], Float[Tensor, " rows"]], means: Float[Tensor, "rows features"], image: int
    ) -> tuple[Float[Tensor, " rows"], Float[Tensor, "rows features"]]:
        """Return utilities of the head's output where these are the means of an image, and their gradients in them."""
        (shape,) = self._feature_shapes
        with with_gradients():
            nothing = torch.zeros_like(self._activation[image : image + 1]).repeat_interleave(len(means), 0)
            leaf = nothing.requires_grad_()
            samples = torch.full((len(means),), image, device=leaf.device)
            utilities, gradients = differentiate_at_mean(
                lambda maps: self._trace.head(maps, samples), utilities_of, leaf, means.reshape(len(means), *shape)
            )
        return utilities, gradients.flatten(1)

    def _run(self, presence: Bool[Tensor, "s positions"], image: int) -> Tensor:
        """Return the head's output for coalitions of one image."""
        padded = torch.cat([presence, presence.new_zeros(len(presence), 1)], 1)  # the last: outside of the map
        bits = 2 ** torch.arange(self._window.cells, device=presence.device)
        contents = (padded[:, self._positions] * bits).sum(2)
        starts = torch.arange(len(self._positions), device=presence.device) * 2**self._window.cells
        means = embedding_bag(contents + starts, self._tables[image], mode="mean")
        output: Tensor = self._run_from(means, image)
        return output

    def _run_from(self, means: Float[Tensor, "s features"], image: int) -> Any:
        """Return the head's output of rows of one image that have these means: its map needs to be run once."""
        (shape,) = self._feature_shapes
        nothing = torch.zeros_like(self._activation[:1])
        rows = len(means)
        return run_from_mean(lambda: self._trace.head_of_one_row(nothing, image, rows), means.reshape(rows, *shape))

    def _check_rows(self, means: Float[Tensor, "s features"]) -> None:
        """Refuse a head that took the number of its rows before the mean, where the map has one row.

        Raises:
            ReplayError: it gives several rows at once other outputs than one by one; others when it cannot take them.
        """
        together = self._run_from(means, 0)
        if not torch.allclose(together, torch.cat([self._run_from(mean[None], 0) for mean in means]), rtol=1e-3):
            raise ReplayError("what follows the mean takes its number of rows from the map before it")

    def _table(self, patterns: Bool[Tensor, "p positions"], image: int) -> Float[Tensor, "entries features"]:
        """Return what each window of an image becomes, entry `window · p + contents`."""
        parts = []
        for chunk in patterns.split(_MAPS_AT_ONCE):
            samples = torch.full((len(chunk),), image, device=chunk.device)
            maps = self._contents.of_coalitions(chunk[None].float(), samples[:1])[0]
            taken = run_to_mean(lambda maps=maps, samples=samples: self._trace.head(maps, samples))  # type: ignore[misc]
            self._feature_shapes.add(tuple(taken.result.shape[1:]))
            parts.append(taken.summands)
            if parts[0][0].nbytes * len(patterns) * len(self._activation) > _MOST_BYTES:
                raise ReplayError("the table of windows is larger than the memory for it")
        table = torch.cat(parts).transpose(0, 1)
        if table.shape[:2] != (prod(self._window.grid), len(patterns)):
            raise ReplayError("the head averages other positions than those of the windows")
        return table.flatten(0, 1)


def _patterns(grid: tuple[int, ...], sides: tuple[int, ...]) -> Bool[Tensor, "p positions"]:
    """Return all maps whose present positions repeat themselves with the window's sides.

    Bit `r` of a pattern's number is the presence of the positions whose remainders are the r-th in reading order.
    """
    remainders = torch.zeros(1, dtype=torch.long, device="cpu")
    for size, side in zip(grid, sides, strict=True):
        remainders = (remainders[:, None] * side + torch.arange(size, device="cpu") % side).flatten()
    numbers = torch.arange(2 ** prod(sides), device="cpu")
    return (numbers[:, None] >> remainders) % 2 == 1


def _positions_by_bit(grid: tuple[int, ...], window: Window) -> Int[Tensor, "windows bits"]:
    """Return for each window, in reading order, the position that each bit of its contents stands for.

    The number of positions stands for one outside of the map, which is never present.
    """
    positions = torch.full((prod(window.grid), window.cells), prod(grid), device="cpu")
    for number, starts in enumerate(product(*(range(size) for size in window.grid))):
        for offsets in product(*window.offsets):
            cell = [
                start * stride + offset for start, stride, offset in zip(starts, window.strides, offsets, strict=True)
            ]
            bit = position = 0
            for at, size, side in zip(cell, grid, window.sides, strict=True):
                bit, position = bit * side + at % side, position * size + at
            if all(0 <= at < size for at, size in zip(cell, grid, strict=True)):
                positions[number, bit] = position
    return positions
