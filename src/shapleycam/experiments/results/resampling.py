"""Means of resampled images, of which the bootstrap's intervals and tests are made.

This is our own code because one pass over the draws serves all methods, metrics and paired differences of a network,
also where values are missing for some of them; scipy.stats.bootstrap would draw images anew for every statistic.
Resamples are counts of how often each image is drawn, in blocks of 16 MiB: a matrix product then gives all means.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float64]
RESAMPLES = 1000
_BLOCK_BYTES = 1 << 24
"""Of the counts in a block, as floats."""
_KEPT_BYTES = 1 << 26
"""Of the counts that are kept, a byte each: those of a thousand resamples of 67,108 images."""
_Counts: TypeAlias = NDArray[np.unsignedinteger[Any]]


class Resampler:
    """Means over images drawn with replacement; tables of as many images share the draws.

    The draws are the same for each number of images. Those of the last number are kept, so that the groups of an
    evaluation, which mostly have as many images, are not drawn for again.

    Args:
        resamples: how many times as many images are drawn.
        seed: of the draws.

    Examples:
        >>> import numpy as np
        >>> drawn = Resampler(resamples=3).means(np.array([[1.0, 10.0], [1.0, 20.0]]))
        >>> drawn.shape, bool((drawn[:, 0] == 1).all())
        ((3, 2), True)
    """

    def __init__(self, resamples: int = RESAMPLES, seed: int = 0) -> None:
        self._resamples, self._seed = resamples, seed
        self._kept_images = -1
        self._kept_blocks: list[_Counts] = []

    def means(self, values: Array) -> Array:
        """Return the mean of each column in each resample: (images, ...) -> (resamples, ...).

        Values that are not finite are left out of their column's mean; NaN where none is left.
        """
        (drawn,) = self.means_of_tables([values])
        return drawn

    def means_of_tables(self, tables: Sequence[Array]) -> list[Array]:
        """Return `means` of several tables of the same images, in one pass over the draws."""
        columns = np.concatenate([table.reshape(len(table), -1) for table in tables], axis=1)  # a copy, changed below
        defined = np.isfinite(columns)
        partly = ~defined.all(0)
        present = defined[:, partly].astype(float)
        columns[~defined] = 0
        drawn, start = np.empty((self._resamples, columns.shape[1])), 0
        for block in self._blocks(len(columns)):
            counts = block.astype(float)
            means = drawn[start : start + len(block)]
            np.matmul(counts, columns, out=means)
            means[:, ~partly] /= len(columns)
            with np.errstate(invalid="ignore"):
                means[:, partly] /= counts @ present
            start += len(block)
        widths = [table[0].size for table in tables]
        split = np.split(drawn, np.cumsum(widths)[:-1], axis=1)
        return [part.reshape(self._resamples, *table.shape[1:]) for part, table in zip(split, tables, strict=True)]

    def _blocks(self, images: int) -> Iterable[_Counts]:
        """Return how often each image is drawn, in blocks (rows, images) of all resamples."""
        if images * self._resamples > _KEPT_BYTES:
            return self._draw_blocks(images)
        if images != self._kept_images:
            self._kept_images, self._kept_blocks = images, list(self._draw_blocks(images))
        return self._kept_blocks

    def _draw_blocks(self, images: int) -> Iterator[_Counts]:
        generator = np.random.default_rng(self._seed)
        rows = max(1, min(self._resamples, _BLOCK_BYTES // (8 * max(images, 1))))
        for start in range(0, self._resamples, rows):
            yield _draw_counts(generator, images, min(rows, self._resamples - start))


def _draw_counts(generator: np.random.Generator, images: int, rows: int) -> _Counts:
    """Return how often each image is drawn: (rows, images), in the smallest type that holds all counts."""
    counts: _Counts = np.zeros((rows, images), np.uint8)
    for row in range(rows):
        drawn = np.bincount(generator.integers(images, size=images), minlength=images)
        counts = counts.astype(np.promote_types(counts.dtype, np.min_scalar_type(drawn.max(initial=0))), copy=False)
        counts[row] = drawn
    return counts
