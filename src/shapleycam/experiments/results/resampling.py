"""`Resampler`: means over resampled images, from which bootstrap intervals and tests are computed.

This is our own code because scipy.stats.bootstrap would draw images again for every statistic. Here one pass over the
resamples serves all methods, metrics and paired differences of a network, even if some have missing values. A resample
is stored as counts of how often each image is drawn, in blocks of 16 MiB; a matrix product then gives all means.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float64]
RESAMPLES = 1000
_BLOCK_BYTES = 1 << 24
"""Size of the counts in a block, as floats."""
_CACHED_BYTES = 1 << 26
"""Maximum size of the cached counts, with one byte each: a thousand resamples of 67,108 images."""
_Counts: TypeAlias = NDArray[np.unsignedinteger[Any]]


class Resampler:
    """Computes means over images that are drawn with replacement.

    Tables with the same number of images share the same draws. The draws for the last number of images are cached,
    because most groups of an evaluation have the same number of images.

    `resamples` is their number.

    Args:
        resamples: number of resamples, each of as many images as the table has.
        seed: the seed of the draws.

    Examples:
        >>> import numpy as np
        >>> drawn = Resampler(resamples=3).means(np.array([[1.0, 10.0], [1.0, 20.0]]))
        >>> drawn.shape, bool((drawn[:, 0] == 1).all())
        ((3, 2), True)
    """

    def __init__(self, resamples: int = RESAMPLES, seed: int = 0) -> None:
        self.resamples, self._seed = resamples, seed
        self._cached_images = -1
        self._cached_blocks: list[_Counts] = []

    def means(self, values: Array) -> Array:
        """Return the mean of each column in each resample: (images, ...) -> (resamples, ...).

        Values that are not finite are not in their column's mean; the mean is NaN if there are no others.
        """
        (drawn,) = self.means_of_tables([values])
        return drawn

    def means_of_tables(self, tables: Sequence[Array]) -> list[Array]:
        """Return `means` for several tables of the same images, from a single pass over the draws."""
        # concatenate returns a copy, which may be changed below.
        columns = np.concatenate([table.reshape(len(table), -1) for table in tables], axis=1)
        defined = np.isfinite(columns)
        partly = ~defined.all(0)
        present = defined[:, partly].astype(float)
        columns[~defined] = 0
        drawn, start = np.empty((self.resamples, columns.shape[1])), 0
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
        return [part.reshape(self.resamples, *table.shape[1:]) for part, table in zip(split, tables, strict=True)]

    def _blocks(self, images: int) -> Iterable[_Counts]:
        """Return how often each image is drawn, in blocks (rows, images) of all resamples."""
        if images * self.resamples > _CACHED_BYTES:
            return self._draw_blocks(images)
        if images != self._cached_images:
            self._cached_images, self._cached_blocks = images, list(self._draw_blocks(images))
        return self._cached_blocks

    def _draw_blocks(self, images: int) -> Iterator[_Counts]:
        generator = np.random.default_rng(self._seed)
        rows = max(1, min(self.resamples, _BLOCK_BYTES // (8 * max(images, 1))))
        for start in range(0, self.resamples, rows):
            yield _draw_counts(generator, images, min(rows, self.resamples - start))


def _draw_counts(generator: np.random.Generator, images: int, rows: int) -> _Counts:
    """Return how often each image is drawn (rows, images), in the smallest integer type that can hold the counts."""
    counts: _Counts = np.zeros((rows, images), np.uint8)
    for row in range(rows):
        drawn = np.bincount(generator.integers(images, size=images), minlength=images)
        counts = counts.astype(np.promote_types(counts.dtype, np.min_scalar_type(drawn.max(initial=0))), copy=False)
        counts[row] = drawn
    return counts
