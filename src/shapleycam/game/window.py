"""Windows: what a head sums up, in numbers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Window:
    """The windows of positions that a head sums up what becomes of.

    Attributes:
        count: how many windows there are.
        cells: how many positions the largest has.
        colours: how many colours tell the positions of each window apart: the windows have 2^colours contents.

    Examples:
        >>> Window(count=49, cells=9, colours=9).contents
        512
    """

    count: int
    cells: int
    colours: int

    @property
    def contents(self) -> int:
        """Return how many contents a window has."""
        return 1 << self.colours
