"""`Window`: the size of the sum over windows of positions that a head computes."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Window:
    """The windows of a head that sums a function of each window of positions.

    Attributes:
        count: the number of windows.
        cells: the number of positions in the largest window.
        colours: the number of colours; the positions of a window have different colours, so that a window has
            2^colours contents (sets of present positions).
        features: the number of elements of the sum; comparisons of windows ignore it.

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
        """Return the number of contents of a window."""
        return 1 << self.colours

    def runs(self, numbers: int) -> int:
        """Return the cost of the table of windows in runs of the head, where a run holds `numbers` elements.

        The table is filled by one run for each content. If all windows of a map have more elements than a run, as
        before a wide linear layer, storing them takes longer in proportion.

        Examples:
            >>> window = Window(count=36, cells=9, colours=9, features=4096)
            >>> window.runs(200_000), window.runs(43_264)
            (512, 1745)
        """
        return self.contents * max(numbers, self.count * self.features) // numbers
