"""Superpixels: SLIC's regions (Achanta 2012), merged to the number that was asked for, the same at each call."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from shapleycam.errors import OptionError

_COMPACTNESS = 10.0
"""How much nearness counts beside colour: scikit-image's own default."""
_MORE = 1.25
"""How many more regions SLIC is asked for at each trial than at the one before, as it makes fewer than it is asked."""


def superpixels(image: np.ndarray[Any, Any], count: int) -> Int[Tensor, "h w"]:
    """Return labels (h, w) from 0 on of exactly `count` connected regions of an image (h, w, c) in [0, 1].

    SLIC makes about as many regions as it is asked for. It is asked for more, and the smallest region is joined to the
    neighbour of the nearest mean colour until there are as many as wanted. Nothing is drawn at random.

    Raises:
        OptionError: scikit-image is missing, or the image is too small for so many regions.

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
    wanted, labels = float(count), np.zeros((height, width), dtype=int)
    while len(np.unique(labels)) < count:
        if wanted > height * width:
            raise OptionError(
                f"players 'superpixels:{count}': an image of {height} x {width} pixels cannot be divided into so many "
                "regions; expected fewer, or a larger image"
            )
        labels = slic(image, round(wanted), _COMPACTNESS, start_label=0, channel_axis=-1)
        wanted *= _MORE
    return torch.from_numpy(_merge(labels, image, count)).long()


def _merge(labels: np.ndarray[Any, Any], image: np.ndarray[Any, Any], count: int) -> np.ndarray[Any, Any]:
    """Return labels of so many regions, joined from the smallest on, and numbered in reading order."""
    labels = np.unique(labels, return_inverse=True)[1].reshape(labels.shape)
    total = labels.max() + 1
    sizes = np.bincount(labels.ravel(), minlength=total).astype(float)
    colours = np.stack([np.bincount(labels.ravel(), c.ravel(), total) for c in np.moveaxis(image, -1, 0)], 1)
    neighbours = _neighbours(labels)
    owner = np.arange(total)
    for _ in range(total - count):
        smallest = int(np.where(sizes > 0, sizes, np.inf).argmin())
        mean = colours[smallest] / sizes[smallest]
        beside = sorted(neighbours[smallest])
        nearest = min(beside, key=lambda other: float(np.square(colours[other] / sizes[other] - mean).sum()))
        owner[owner == smallest] = nearest
        sizes[nearest] += sizes[smallest]
        colours[nearest] += colours[smallest]
        sizes[smallest] = 0
        for other in beside:
            neighbours[other].discard(smallest)
        neighbours[nearest] |= neighbours[smallest] - {nearest}
        for other in neighbours[nearest]:
            neighbours[other].add(nearest)
    merged = owner[labels]
    _, first, inverse = np.unique(merged, return_index=True, return_inverse=True)
    result: np.ndarray[Any, Any] = first.argsort().argsort()[inverse].reshape(labels.shape)
    return result


def _neighbours(labels: np.ndarray[Any, Any]) -> list[set[int]]:
    """Return of each region those that it touches."""
    neighbours: list[set[int]] = [set() for _ in range(labels.max() + 1)]
    for first, second in ((labels[1:], labels[:-1]), (labels[:, 1:], labels[:, :-1])):
        touching = first != second
        for a, b in set(zip(first[touching].tolist(), second[touching].tolist(), strict=True)):
            neighbours[a].add(b)
            neighbours[b].add(a)
    return neighbours
