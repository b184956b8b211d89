"""Regions of one photograph that have names, such as annotated objects."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Int
from torch import Tensor


@dataclass(frozen=True)
class NamedRegions:
    """Regions with names as players of one image.

    Attributes:
        labels: (h, w), the index of each pixel's region.
        names: the name of each region.

    Examples:
        >>> import torch
        >>> from shapleycam.game.named_regions import NamedRegions
        >>> regions = NamedRegions(torch.tensor([[0, 0], [1, 1]]), ("sky", "sea"))
        >>> regions.names[int(regions.labels[1, 0])]
        'sea'
    """

    labels: Int[Tensor, "h w"]
    names: tuple[str, ...]
