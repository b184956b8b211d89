"""Tables of the images of a batch, of which as many are kept as fit into memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

MOST_BYTES = 2**29
"""Bytes that the tables of all images may take together."""
_Table = TypeVar("_Table")


class ImageTables(Generic[_Table]):
    """The table of each image of a batch, made when it is asked for, and again where it could not be kept.

    Args:
        make: returns the table of an image.
        bytes_of: returns how many bytes a table takes.
        most_bytes: how many those that are kept may take; the one asked for last is kept in any case, and the others
            make room for it that were not asked for longest.

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
        """Keep a table, as the one that was asked for last."""
        size = self._bytes_of(table)
        while self._kept and sum(map(self._bytes_of, self._kept.values())) + size > self._most_bytes:
            del self._kept[next(iter(self._kept))]
        self._kept[image] = table

    @property
    def latest(self) -> _Table:
        """Return the table that was asked for last, whichever image it is of."""
        return next(reversed(self._kept.values()))

    def groups(self, images: int) -> list[list[int]]:
        """Return the images 0, 1, … in groups whose tables are kept together, those first that are kept now."""
        at_once = max(1, self._most_bytes // max(1, self._bytes_of(self.latest)))
        order = [*self._kept, *(image for image in range(images) if image not in self._kept)]
        return [order[start : start + at_once] for start in range(0, images, at_once)]
