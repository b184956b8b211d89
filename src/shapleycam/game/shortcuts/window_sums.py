"""The base of shortcuts for sums over windows: a table with each window's term of the sum, for each of its contents.

The contents of a window are the set of its positions that are present. Positions have colours, such that the positions
of a window have different colours. So a map in which some colours are present has one of the contents in each window,
and one run of the head for each set of colours fills the table, for all windows at once.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from shapleycam.errors import ReplayError
from shapleycam.game.contents import Contents
from shapleycam.game.grad_modes import with_gradients, without_gradients
from shapleycam.game.head_halves import differentiate_at_sum, run_from_sum, run_to_sum
from shapleycam.game.head_recording import record_with_removal
from shapleycam.game.head_runner import TENSORS_AT_ONCE, HeadRunner, Images, LargestTensor, Presence
from shapleycam.game.shortcuts.image_tables import MOST_BYTES, ImageTables
from shapleycam.game.windows import WindowSum, prove_window_sum
from shapleycam.tracing import Trace

_MAPS_AT_ONCE = 32


class WindowSumRunner(HeadRunner):
    """Fills a table for each image; for a coalition it averages entries, and runs the rest of the head on the sum."""

    def __init__(self, trace: Trace, contents: Contents) -> None:
        self._trace, self._contents = trace, contents
        self._activation = contents.activation
        self._window_sums = [self._prove(image) for image in range(len(self._activation))]
        first = self._window_sums[0]
        for other in self._window_sums[1:]:
            if other.feature_shape != first.feature_shape or not torch.equal(other.cells, first.cells):
                raise ReplayError("the images' heads sum up different windows; expected the same")
        self._positions = _positions_by_colour(first, self._activation.device)
        self._tables = ImageTables(self._entries, lambda entries: int(entries.nbytes))
        entries = self._tables[0].flatten(0, 1)
        self._check_rows(entries[torch.arange(3, device=entries.device) % len(entries)])

    @cached_property
    def bytes_per_coalition(self) -> int:
        any_sum = self._tables.latest[:1, 0]
        with LargestTensor() as largest:
            self._run_from(any_sum, 0)
        return TENSORS_AT_ONCE * max(int(largest.bytes), int(any_sum.nbytes), 8 * self._positions.numel())

    def outputs(self, presence: Presence, images: Images) -> Any:
        rows = [
            self._run_from(self._sums(each, image), image)
            for each, image in zip(presence, images.tolist(), strict=True)
        ]
        return torch.cat(rows)

    @property
    def positions(self) -> Int[Tensor, "windows bits"]:
        """Return the position of each bit of a window's contents; the number of positions for a bit without one."""
        return self._positions

    def table(self, image: int) -> Float[Tensor, "windows contents features"]:
        """Return an image's table: the entry of each window and contents; the head's sum is the mean over windows."""
        return self._tables[image]

    def differentiate(
        self, utilities_of: Callable[[Any], Float[Tensor, " rows"]], sums: Float[Tensor, "rows features"], image: int
    ) -> tuple[Float[Tensor, " rows"], Float[Tensor, "rows features"]]:
        """Return the utilities for given sums of an image, and their gradients by these sums."""
        window_sum = self._window_sums[image]
        with with_gradients():
            leaf = self._any_map(image).repeat_interleave(len(sums), 0).requires_grad_()
            samples = torch.full((len(sums),), image, device=leaf.device)
            utilities, gradients = differentiate_at_sum(
                lambda maps: self._trace.head(maps, samples),
                utilities_of,
                leaf,
                window_sum,
                sums.reshape(len(sums), *window_sum.feature_shape),
            )
        return utilities, gradients.reshape(len(gradients), -1)  # features may be single numbers

    @abstractmethod
    def _sums(self, presence: Float[Tensor, "s positions"], image: int) -> Float[Tensor, "s features"]:
        """Return the head's sum for coalitions of one image."""

    def _run_from(self, sums: Float[Tensor, "s features"], image: int) -> Any:
        """Return the head's output for rows of one image with these sums; the part before the sum runs on one row."""
        window_sum = self._window_sums[image]
        rows, any_map = len(sums), self._any_map(image)
        value = sums.reshape(rows, *window_sum.feature_shape)
        return run_from_sum(lambda: self._trace.head_of_one_row(any_map, image, rows), window_sum, value)

    def _any_map(self, image: int) -> Float[Tensor, "1 *shape"]:
        """Return a map to run the head on if its sum is replaced, so that the map's numbers have no effect."""
        return torch.zeros_like(self._activation[image : image + 1])

    def _check_rows(self, sums: Float[Tensor, "s features"]) -> None:
        """Refuse a head that reads its number of rows before the sum, where the map has a single row.

        Raises:
            ReplayError: several rows together have other outputs than one by one.
        """
        together = self._run_from(sums, 0)
        apart = torch.cat([self._run_from(each[None], 0) for each in sums])
        if together.shape != apart.shape or not bool((together - apart).abs().max() <= 1e-3 * apart.abs().max()):
            raise ReplayError("what follows the sum takes its number of rows from the map before it")

    @without_gradients()
    def _entries(self, image: int) -> Float[Tensor, "windows contents features"]:
        """Return the table of an image.

        Raises:
            ReplayError: it would be too large.
        """
        window_sum = self._window_sums[image]
        patterns = _patterns(window_sum.colours).to(self._activation.device)
        numbers = len(window_sum.cells) * len(patterns) * window_sum.features
        if numbers * self._activation.element_size() > MOST_BYTES:
            raise ReplayError("the table of windows is larger than the memory for it")
        parts, result = [], None
        for chunk in patterns.split(_MAPS_AT_ONCE):
            samples = torch.full((len(chunk),), image, device=chunk.device)
            maps = self._contents.of_coalitions(chunk[None].float(), samples[:1])[0]
            taken = run_to_sum(lambda maps=maps, samples=samples: self._trace.head(maps, samples), window_sum)  # type: ignore[misc]
            parts.append(taken.contributions)
            result = taken.result[0] if result is None else result
        entries = torch.cat(parts, 1)
        # Where all are absent the mean of the entries is the head's own sum, a constant that it adds included.
        constant = 0 if result is None else result.flatten() - entries[:, 0].sum(0)
        return entries.mul_(len(entries)).add_(constant)

    def _prove(self, image: int) -> WindowSum:
        def head(rows: Tensor) -> Any:
            samples = torch.full((len(rows),), image, device=rows.device)
            return self._trace.head_of_any_size(rows, samples)

        one = slice(image, image + 1)
        recording = record_with_removal(head, self._activation[one], self._contents.empty[one])
        window_sum = prove_window_sum(recording, self._contents.layout)
        if window_sum is None:
            raise ReplayError(f"the head of image {image} is no sum over windows, where that of the first is one")
        return window_sum


def _patterns(colours: Int[Tensor, " positions"]) -> Bool[Tensor, "contents positions"]:
    """Return the presence map of each set of colours: bit r of the map's index is the presence of colour r."""
    numbers = torch.arange(2 ** (int(colours.max()) + 1), device="cpu")
    return (numbers[:, None] >> colours) % 2 == 1


def _positions_by_colour(window_sum: WindowSum, device: torch.device) -> Int[Tensor, "windows bits"]:
    """Return for each window the position of each bit of its contents.

    It is the number of positions if the window has no position of this colour.
    """
    colours = window_sum.colours
    outside, bits = len(colours), int(colours.max()) + 1
    inside = window_sum.cells < outside
    places = torch.where(inside, colours[window_sum.cells.clamp(max=outside - 1)], bits)  # the last column is dropped
    positions = torch.full((len(window_sum.cells), bits + 1), outside, device="cpu")
    positions.scatter_(1, places, window_sum.cells.clamp(max=outside))
    return positions[:, :bits].to(device)
