"""Windows: what a head sums up, in numbers."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Window:
    """The windows of positions that a head sums up what becomes of.

    Attributes:
        count: how many windows there are.
        cells: how many positions the largest has.
        colours: how many colours tell the positions of each window apart: the windows have 2^colours contents.
        features: how many numbers the sum has; windows are compared without it.

    Examples:
        >>> Window(count=49, cells=9, colours=9, features=320).contents
        512
    """

    count: int
    cells: int
    colours: int
    features: int = field(default=1, compare=False)

    @property
    def contents(self) -> int:
        """Return how many contents a window has."""
        return 1 << self.colours

    def runs(self, numbers: int) -> int:
        """Return how many runs of the head the table of windows is worth, where a run holds `numbers` at a time.

        It is filled by one run for each content. Where the windows of a map add up more numbers than that, as before a
        wide linear layer, keeping them takes as many times longer.

        Examples:
            >>> window = Window(count=36, cells=9, colours=9, features=4096)
            >>> window.runs(200_000), window.runs(43_264)
            (512, 1745)
        """
        return self.contents * max(numbers, self.count * self.features) // numbers
