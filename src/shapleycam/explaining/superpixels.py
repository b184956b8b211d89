"""Superpixels: regions of SLIC (Achanta 2012), merged to exactly the requested number; deterministic."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from shapleycam.errors import OptionError

_COMPACTNESS = 10.0
"""Weight of distance against colour in SLIC: scikit-image's default."""
_GROWTH = 1.25
"""Factor by which the number of segments grows at each trial, because SLIC often makes fewer than requested."""


def superpixels(image: np.ndarray[Any, Any], count: int) -> Int[Tensor, "h w"]:
    """Return labels (h, w), from 0 on, of exactly `count` connected regions of an image (h, w, c) in [0, 1].

    SLIC makes only about as many regions as requested. So the request grows until there are at least `count` regions.
    Then the smallest region is merged with the neighbour of the nearest mean colour, until there are exactly `count`.
    No step is random.

    Raises:
        OptionError: scikit-image is missing, or the image is too small for `count` regions.

    Examples:
        >>> import numpy as np
        >>> from shapleycam.explaining.superpixels import superpixels
        >>> ramp = np.linspace(0, 1, 60 * 80 * 3).reshape(60, 80, 3)
        >>> labels = superpixels(ramp, 12)
        >>> labels.shape, len(labels.unique())
        (torch.Size([60, 80]), 12)
    """
    try:
        from skimage.segmentation import slic
    except ImportError:
        raise OptionError(
            "players 'superpixels' need scikit-image, which is not installed; pip install 'shapleycam[superpixels]'"
        ) from None
    height, width = image.shape[:2]
    segments, labels = float(count), np.zeros((height, width), dtype=int)
    while len(np.unique(labels)) < count:
        if segments > height * width:
            raise OptionError(
                f"players 'superpixels:{count}': an image of {height} x {width} pixels cannot be divided into so many "
                "regions; expected fewer, or a larger image"
            )
        labels = slic(image, round(segments), _COMPACTNESS, start_label=0, channel_axis=-1)
        segments *= _GROWTH
    return torch.from_numpy(_merge(labels, image, count)).long()


def _merge(labels: np.ndarray[Any, Any], image: np.ndarray[Any, Any], count: int) -> np.ndarray[Any, Any]:
    """Merge regions, the smallest first, until `count` are left; number them in reading order."""
    labels = np.unique(labels, return_inverse=True)[1].reshape(labels.shape)
    total = labels.max() + 1
    sizes = np.bincount(labels.ravel(), minlength=total).astype(float)
    colours = np.stack([np.bincount(labels.ravel(), c.ravel(), total) for c in np.moveaxis(image, -1, 0)], 1)
    neighbours = _neighbours(labels)
    owner = np.arange(total)
    for _ in range(total - count):
        smallest = int(np.where(sizes > 0, sizes, np.inf).argmin())
        mean = colours[smallest] / sizes[smallest]
        adjacent = sorted(neighbours[smallest])
        nearest = min(adjacent, key=lambda other: float(np.square(colours[other] / sizes[other] - mean).sum()))
        owner[owner == smallest] = nearest
        sizes[nearest] += sizes[smallest]
        colours[nearest] += colours[smallest]
        sizes[smallest] = 0
        for other in adjacent:
            neighbours[other].discard(smallest)
        neighbours[nearest] |= neighbours[smallest] - {nearest}
        for other in neighbours[nearest]:
            neighbours[other].add(nearest)
    merged = owner[labels]
    _, first, inverse = np.unique(merged, return_index=True, return_inverse=True)
    result: np.ndarray[Any, Any] = first.argsort().argsort()[inverse].reshape(labels.shape)
    return result


def _neighbours(labels: np.ndarray[Any, Any]) -> list[set[int]]:
    """Return the set of adjacent regions of each region."""
    neighbours: list[set[int]] = [set() for _ in range(labels.max() + 1)]
    for first, second in ((labels[1:], labels[:-1]), (labels[:, 1:], labels[:, :-1])):
        touching = first != second
        for a, b in set(zip(first[touching].tolist(), second[touching].tolist(), strict=True)):
            neighbours[a].add(b)
            neighbours[b].add(a)
    return neighbours
