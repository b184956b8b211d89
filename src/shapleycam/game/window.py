"""Windows: which positions of the activation a position of a later map depends on."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod


@dataclass(frozen=True)
class Window:
    """The positions that one position of a map depends on: in each dimension `start * stride + offset` of each offset.

    Attributes:
        source: the size (h, w) of the activation's map.
        grid: the size (h, w) of the map whose positions have windows.
        strides: how far apart the windows of neighbours are, in each dimension.
        offsets: of the positions in the window of position 0, in each dimension; an arithmetic sequence. Those outside
            the activation are padding.

    Examples:
        >>> from shapleycam.game.window import Window
        >>> window = Window((7, 7), grid=(7, 7), strides=(1, 1), offsets=((-1, 0, 1), (-1, 0, 1)))
        >>> window.cells, window.sides, window.is_separable
        (9, (3, 3), True)
    """

    source: tuple[int, ...]
    grid: tuple[int, ...]
    strides: tuple[int, ...]
    offsets: tuple[tuple[int, ...], ...]

    @property
    def sides(self) -> tuple[int, ...]:
        """Return how many positions a window has in each dimension."""
        return tuple(map(len, self.offsets))

    @property
    def cells(self) -> int:
        """Return how many positions a window has."""
        return prod(self.sides)

    @property
    def is_separable(self) -> bool:
        """Return whether the positions of every window differ in their remainders by its sides.

        A pattern that repeats itself with this period then sets all positions of a window independently.
        """
        return all(len({offset % len(axis) for offset in axis}) == len(axis) for axis in self.offsets)

    def contains(self, other: Window | None) -> bool:
        """Return whether it holds all of another window of the same map; None is the position itself."""
        strides = tuple(1 for _ in self.strides) if other is None else other.strides
        offsets = tuple((0,) for _ in self.offsets) if other is None else other.offsets
        is_same_map = self.strides == strides and (other is None or self.grid == other.grid)
        return is_same_map and all(set(small) <= set(large) for small, large in zip(offsets, self.offsets, strict=True))


def merge_windows(first: Window | None, second: Window | None) -> Window | bool | None:
    """Return the window that holds both, False where neither does; None is the position itself."""
    if first == second:
        return first
    if first is not None and first.contains(second):
        return first
    if second is not None and second.contains(first):
        return second
    return False
