"""`ImageTables`: a cache of one table for each image of a batch, limited by memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

MOST_BYTES = 2**29
"""Maximum bytes of all cached tables together."""
_Table = TypeVar("_Table")


class ImageTables(Generic[_Table]):
    """The tables of a batch's images: each is made when it is requested, and again if it was not kept.

    Args:
        make: returns the table of an image.
        bytes_of: returns how many bytes a table takes.
        most_bytes: limit on the bytes of all kept tables. The latest requested table is always kept; the least recently
            used ones are dropped to make room for it.

    Examples:
        >>> from shapleycam.game.shortcuts.image_tables import ImageTables
        >>> made = []
        >>> def make(image):
        ...     made.append(image)
        ...     return "table of 10"
        >>> tables = ImageTables(make, lambda table: 10, most_bytes=20)
        >>> for image in [0, 1, 0, 2, 0, 1]:
        ...     table = tables[image]
        >>> made
        [0, 1, 2, 1]
    """

    def __init__(
        self, make: Callable[[int], _Table], bytes_of: Callable[[_Table], int], most_bytes: int = MOST_BYTES
    ) -> None:
        self._make, self._bytes_of, self._most_bytes = make, bytes_of, most_bytes
        self._kept: dict[int, _Table] = {}

    def __getitem__(self, image: int) -> _Table:
        """Return the table of an image."""
        self.keep(image, self._kept.pop(image) if image in self._kept else self._make(image))
        return self._kept[image]

    def keep(self, image: int, table: _Table) -> None:
        """Add a table to the cache, as the most recently used one."""
        size = self._bytes_of(table)
        while self._kept and sum(map(self._bytes_of, self._kept.values())) + size > self._most_bytes:
            del self._kept[next(iter(self._kept))]
        self._kept[image] = table

    @property
    def latest(self) -> _Table:
        """Return the most recently used table, of any image."""
        return next(reversed(self._kept.values()))

    def groups(self, images: int) -> list[list[int]]:
        """Return the images 0, 1, … in groups whose tables fit into the cache; images in the cache come first."""
        at_once = max(1, self._most_bytes // max(1, self._bytes_of(self.latest)))
        order = [*self._kept, *(image for image in range(images) if image not in self._kept)]
        return [order[start : start + at_once] for start in range(0, images, at_once)]
