"""Regions of one photograph that have names, such as the objects that somebody outlined in it."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Int
from torch import Tensor


@dataclass(frozen=True)
class NamedRegions:
    """Players with names: `labels` (h, w) are the numbers of the regions of one image, `names` what each is called.

    Examples:
        >>> import torch
        >>> from shapleycam.game.named_regions import NamedRegions
        >>> regions = NamedRegions(torch.tensor([[0, 0], [1, 1]]), ("sky", "sea"))
        >>> regions.names[int(regions.labels[1, 0])]
        'sea'
    """

    labels: Int[Tensor, "h w"]
    names: tuple[str, ...]
